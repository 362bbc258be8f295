"""COCO's persons with keypoints: from three archives (20.4 GB) to the folder that diffperc.data.COCOPose reads.

    python scripts/prepare_coco.py --download
    python scripts/prepare_coco.py --archive train2017.zip val2017.zip annotations_trainval2017.zip

Licence: the annotations CC BY 4.0, the images under Flickr's terms (cocodataset.org/#termsofuse). Of the annotations
person_keypoints_*.json are kept. The archives are not needed afterwards.
"""

from __future__ import annotations

import re

from diffperc.prepare import archives
from diffperc.prepare.download import Source

# sizes and checksums as TensorFlow Datasets publishes them
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


def main() -> None:
    """Find or fetch, unpack, open."""
    options = archives.arguments(__doc__, "data/coco", download=True).parse_args()
    hint = f"Get them from {' and '.join(s.url for s in SOURCES)}, or add --download."
    files = archives.find(options, [s.name for s in SOURCES], SOURCES, hint)
    holds = "train2017/, val2017/ or annotations/person_keypoints_*.json"
    written = sum(archives.unpack(f, options.out, lambda m: m if _MEMBER.match(m) else None, holds) for f in files)

    from diffperc.data import COCOPose
    from diffperc.preprocessing import PersonCrop

    train, val = (len(COCOPose(split, str(options.out), {}, PersonCrop())) for split in ("train", "val"))
    archives.report(written, options.out, {"training": train, "validation persons": val})


if __name__ == "__main__":
    archives.script(main)
