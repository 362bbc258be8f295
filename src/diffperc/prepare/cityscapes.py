"""Cityscapes, finely annotated: from two archives to the folder that diffperc.data.Cityscapes reads.

    python scripts/prepare_cityscapes.py --archive leftImg8bit_trainvaltest.zip gtFine_trainvaltest.zip

Licence: for non-commercial research and teaching (www.cityscapes-dataset.com/license). The archives need a login there, so
they are fetched by hand. Of them the training and validation images and the label ids are kept. Nobody publishes checksums;
those inside the zips are verified. The archives are not needed afterwards.
"""

from __future__ import annotations

import re

from diffperc.prepare import archives

_NAMES = ["leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"]
_HINT = (
    "Cityscapes needs a login: register at https://www.cityscapes-dataset.com, fetch both and give them with --archive."
)
_MEMBER = re.compile(r"(?:leftImg8bit/(?:train|val)/.+_leftImg8bit|gtFine/(?:train|val)/.+_gtFine_labelIds)\.png$")


def main() -> None:
    """Find, unpack, open."""
    options = archives.arguments(__doc__, "data/cityscapes", download=False).parse_args()
    files = archives.find(options, _NAMES, [], _HINT)
    holds = "leftImg8bit/ or gtFine/ with train/ and val/"
    written = sum(archives.unpack(f, options.out, lambda m: m if _MEMBER.match(m) else None, holds) for f in files)

    from diffperc.data import Cityscapes

    train, val = (len(Cityscapes(split, str(options.out), {})) for split in ("train", "val"))
    archives.report(written, options.out, {"training": train, "validation frames": val}, (2975, 500))


if __name__ == "__main__":
    archives.script(main)
