"""ADE20K, 150 classes, for segmentation: one archive of 0.97 GB.

    diffperc prepare ade20k --download
    diffperc prepare ade20k --archive ADEChallengeData2016.zip --out data/ade20k

Licence: the annotations are under BSD-3-Clause, the images are for research and education
(groups.csail.mit.edu/vision/datasets/ADE20K). The folder is the one that diffperc.data.ADE20K reads. The archive is not
needed afterwards.
"""

from __future__ import annotations

import re

from diffperc.prepare import archives
from diffperc.prepare.download import Source

# size and checksum as published by TensorFlow Datasets
SOURCE = Source(
    "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
    "sha256:7ff1be44964418441f542a7cc1e1a650e7dc0fc275f5d23252bc9bbdbc977b29",
    967382037,
)
_MEMBER = re.compile(r"ADEChallengeData2016/(images/\w+/.+\.jpg|annotations/\w+/.+\.png|objectInfo150\.txt)$")


def main(arguments: list[str]) -> None:
    """Find or download the archive, unpack it, and print how many frames the data set's class finds.

    Args:
        arguments: the command line after the data set's name, such as ``["--download"]``.

    Raises:
        DataError: the archive is missing, damaged or not the official one.
    """
    options = archives.parser("ade20k", __doc__, download=True).parse_args(arguments)
    files = archives.find(options, [SOURCE.name], [SOURCE], f"Get it from {SOURCE.url}, or add --download.")
    holds = "ADEChallengeData2016/images/ and annotations/"
    written = archives.unpack(files, options.out, archives.matching(_MEMBER), holds)

    from diffperc.data import ADE20K

    train, val = ADE20K("train", str(options.out)), ADE20K("val", str(options.out))
    archives.report(written, options.out, {"training": len(train), "validation frames": len(val)}, (20210, 2000))
