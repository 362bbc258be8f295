"""Cityscapes, fine annotations, for segmentation: two archives that need a login.

    diffperc prepare cityscapes --archive leftImg8bit_trainvaltest.zip gtFine_trainvaltest.zip

Licence: for non-commercial research and teaching (www.cityscapes-dataset.com/license). The archives need a login at that
site, so they are downloaded by hand. The training and validation images and the label ids are kept, in the folder that
diffperc.data.Cityscapes reads. Nobody publishes checksums of the archives; those inside the zips are verified. The
archives are not needed afterwards.
"""

from __future__ import annotations

import re

from diffperc.prepare import archives

_NAMES = ["leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"]
_HINT = (
    "Cityscapes needs a login: register at https://www.cityscapes-dataset.com, download both archives and give them with "
    "--archive."
)
_MEMBER = re.compile(r"(?:leftImg8bit/(?:train|val)/.+_leftImg8bit|gtFine/(?:train|val)/.+_gtFine_labelIds)\.png$")


def main(arguments: list[str]) -> None:
    """Find the archives, unpack them, and print how many frames the data set's class finds.

    Args:
        arguments: the command line after the data set's name, such as ``["--archives", "downloads"]``.

    Raises:
        DataError: an archive is missing, damaged or not an official one.
    """
    options = archives.parser("cityscapes", __doc__, download=False).parse_args(arguments)
    files = archives.find(options, _NAMES, [], _HINT)
    holds = "leftImg8bit/ or gtFine/ with train/ and val/"
    written = archives.unpack(files, options.out, archives.matching(_MEMBER), holds)

    from diffperc.data import Cityscapes

    train, val = Cityscapes("train", str(options.out)), Cityscapes("val", str(options.out))
    archives.report(written, options.out, {"training": len(train), "validation frames": len(val)}, (2975, 500))
