"""RefCOCO, RefCOCO+ and RefCOCOg: from REFER's archives and COCO's train2014 to the folder diffperc.data.RefCOCO reads.

    python scripts/prepare_refcoco.py --download
    python scripts/prepare_refcoco.py --archive refcoco.zip refcoco+.zip refcocog.zip train2014.zip

Licence: COCO's annotations CC BY 4.0, the images under Flickr's terms (cocodataset.org/#termsofuse), REFER Apache-2.0.
REFER's own host is gone. --download takes its files as the Internet Archive keeps them:
https://web.archive.org/web/<date>id_/https://bvisionweb1.cs.unc.edu/licheng/referit/data/<name>.zip
and COCO's images (13.5 GB), of which those that the refs name are unpacked. Any of the three data sets will do. The archives
are not needed afterwards.
"""

from __future__ import annotations

import re
from pathlib import Path

from diffperc.errors import DataError
from diffperc.prepare import archives
from diffperc.prepare.download import Source

_MIRROR = "https://web.archive.org/web/{}id_/https://bvisionweb1.cs.unc.edu/licheng/referit/data/{}.zip"
# REFER publishes no checksums: these are what several projects found independently of each other in the archive's copies
_REFS = [
    Source(
        _MIRROR.format("20220413011718", "refcoco"),
        "sha256:7f924bb7ed8dc4568058e4ff626281918d56e5206f4c868c5a80f088f38c8bf0",
        53993993,
    ),
    Source(
        _MIRROR.format("20220413011656", "refcoco+"),
        "sha256:5f1238112d63199e68da54a28f201471909b21ded7ed79a57d51b4c1443c6b45",
        45613210,
    ),
    Source(
        _MIRROR.format("20220413012904", "refcocog"),
        "sha256:3d1f7e5b2ff2205940bf59de55f861f5f2cc1403fb980669933a7f9af1aa8211",
        56712951,
    ),
]
# as TensorFlow Datasets publishes them
_IMAGES = Source(
    "http://images.cocodataset.org/zips/train2014.zip",
    "sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
    13510573713,
)
SOURCES = [*_REFS, _IMAGES]
_NAMES = ("refcoco", "refcoco+", "refcocog")
_REFERS = re.compile(r"(?:refcoco\+?|refcocog)/(?:instances\.json|refs\(\w+\)\.p)$")
_PHOTO = re.compile(r"(?:.*/)?(COCO_train2014_(\d{12})\.jpg)$")


def main() -> None:
    """Find or fetch, unpack the refs, then the images that they name, open."""
    options = archives.arguments(__doc__, "data/refcoco", download=True).parse_args()
    hint = "Get train2014.zip from cocodataset.org and the others as --help says, or add --download."
    files = archives.find(options, [s.name for s in SOURCES], SOURCES, hint)
    written = sum(archives.unpack(f, options.out, lambda m: m if _REFERS.match(m) else None) for f in files)
    named = _images(options.out)

    def choose(member: str) -> str | None:
        photo = _PHOTO.match(member)
        return f"images/train2014/{photo[1]}" if photo and int(photo[2]) in named else None

    written += sum(archives.unpack(f, options.out, choose) for f in files)

    from diffperc.data import RefCOCO

    names = [name for name in _NAMES if (options.out / name).is_dir()]
    for number, name in enumerate(names):
        train, val = (len(RefCOCO(split, str(options.out), {}, name)) for split in ("train", "val"))
        counts = {"training refs": train, "validation sentences": val}
        archives.report(written or number, options.out / name, counts)  # says once that there was nothing to do


def _images(root: Path) -> set[int]:
    """COCO's ids of the images that any ref names."""
    from diffperc.data.formats.refer import read_refs

    files = sorted(root.glob("refcoco*/refs(*).p"))
    if not files:
        raise DataError(
            f"{root}: has no refcoco*/refs(*).p, and no archive with them is given. Give refcoco.zip, refcoco+.zip or "
            "refcocog.zip."
        )
    return {ref["image_id"] for file in files for ref in read_refs(file)}


if __name__ == "__main__":
    archives.script(main)
