"""ADE20K with 150 classes: from ADEChallengeData2016.zip (0.97 GB) to the folder that diffperc.data.ADE20K reads.

    python scripts/prepare_ade20k.py --download
    python scripts/prepare_ade20k.py --archive ADEChallengeData2016.zip --out data/ade20k

Licence: the annotations BSD-3-Clause, the images for research and education (groups.csail.mit.edu/vision/datasets/ADE20K).
The archive is not needed afterwards.
"""

from __future__ import annotations

import re

from diffperc.prepare import archives
from diffperc.prepare.download import Source

# size and checksum as TensorFlow Datasets publishes them
SOURCE = Source(
    "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
    "sha256:7ff1be44964418441f542a7cc1e1a650e7dc0fc275f5d23252bc9bbdbc977b29",
    967382037,
)
_MEMBER = re.compile(r"ADEChallengeData2016/(images/\w+/.+\.jpg|annotations/\w+/.+\.png|objectInfo150\.txt)$")


def main() -> None:
    """Find or fetch, unpack, open."""
    options = archives.arguments(__doc__, "data/ade20k", download=True).parse_args()
    files = archives.find(options, [SOURCE.name], [SOURCE], f"Get it from {SOURCE.url}, or add --download.")
    holds = "ADEChallengeData2016/images/ and annotations/"
    written = sum(archives.unpack(f, options.out, lambda m: m if _MEMBER.match(m) else None, holds) for f in files)

    from diffperc.data import ADE20K

    train, val = (len(ADE20K(split, str(options.out), {})) for split in ("train", "val"))
    archives.report(written, options.out, {"training": train, "validation frames": val}, (20210, 2000))


if __name__ == "__main__":
    archives.script(main)
