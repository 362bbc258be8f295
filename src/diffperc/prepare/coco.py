"""COCO's persons with keypoints, for pose: three archives, 20.4 GB.

    diffperc prepare coco --download
    diffperc prepare coco --archive train2017.zip val2017.zip annotations_trainval2017.zip

Licence: the annotations are under CC BY 4.0, the images under Flickr's terms (cocodataset.org/#termsofuse). The images and
person_keypoints_*.json are kept, in the folder that diffperc.data.COCOPose reads. The archives are not needed afterwards.
"""

from __future__ import annotations

import re

from diffperc.prepare import archives
from diffperc.prepare.download import Source

# sizes and checksums as published by TensorFlow Datasets
SOURCES = [
    Source(
        "http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
        "sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
        252907541,
    ),
    Source(
        "http://images.cocodataset.org/zips/val2017.zip",
        "sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        815585330,
    ),
    Source(
        "http://images.cocodataset.org/zips/train2017.zip",
        "sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        19336861798,
    ),
]
_MEMBER = re.compile(r"(?:(?:train|val)2017/\d+\.jpg|annotations/person_keypoints_(?:train|val)2017\.json)$")


def main(arguments: list[str]) -> None:
    """Find or download the archives, unpack them, and print how many persons the data set's class finds.

    Args:
        arguments: the command line after the data set's name, such as ``["--download"]``.

    Raises:
        DataError: an archive is missing, damaged or not an official one.
    """
    options = archives.parser("coco", __doc__, download=True).parse_args(arguments)
    urls = " and ".join(source.url for source in SOURCES)
    names = [source.name for source in SOURCES]
    files = archives.find(options, names, SOURCES, f"Get them from {urls}, or add --download.")
    holds = "train2017/, val2017/ or annotations/person_keypoints_*.json"
    written = archives.unpack(files, options.out, archives.matching(_MEMBER), holds)

    from diffperc.data import COCOPose

    train = COCOPose("train", str(options.out))
    val = COCOPose("val", str(options.out))
    archives.report(written, options.out, {"training": len(train), "validation persons": len(val)})
