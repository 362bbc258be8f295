"""RefCOCO, RefCOCO+ and RefCOCOg, for referring segmentation: REFER's archives and COCO's train2014, 13.7 GB.

    diffperc prepare refcoco --download
    diffperc prepare refcoco --archive refcoco.zip refcoco+.zip refcocog.zip train2014.zip

Licence: COCO's annotations are under CC BY 4.0, the images under Flickr's terms (cocodataset.org/#termsofuse), REFER under
Apache-2.0. REFER's own host is gone. --download takes its files from the Internet Archive,
https://web.archive.org/web/<date>id_/https://bvisionweb1.cs.unc.edu/licheng/referit/data/<name>.zip
and COCO's images (13.5 GB) from COCO; only the images that the refs name are unpacked. Any one of the three data sets is
enough. The folder is the one that diffperc.data.RefCOCO reads. The archives are not needed afterwards.
"""

from __future__ import annotations

import re
from pathlib import Path

from diffperc.errors import DataError
from diffperc.prepare import archives
from diffperc.prepare.download import Source

_MIRROR = "https://web.archive.org/web/{}id_/https://bvisionweb1.cs.unc.edu/licheng/referit/data/{}.zip"
# REFER publishes no checksums: several projects found these, independently, for the copies in the Internet Archive
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
# as published by TensorFlow Datasets
_TRAIN2014 = Source(
    "http://images.cocodataset.org/zips/train2014.zip",
    "sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
    13510573713,
)
SOURCES = [*_REFS, _TRAIN2014]
_NAMES = ("refcoco", "refcoco+", "refcocog")
_REFERS = re.compile(r"(?:refcoco\+?|refcocog)/(?:instances\.json|refs\(\w+\)\.p)$")
_IMAGE = re.compile(r"(?:.*/)?(COCO_train2014_(\d{12})\.jpg)$")


def main(arguments: list[str]) -> None:
    """Find or download the archives, unpack the refs, then the images that they name, and print the counts.

    Args:
        arguments: the command line after the data set's name, such as ``["--download"]``.

    Raises:
        DataError: there are no refs, or an archive is missing, damaged or not an official one.
    """
    options = archives.parser("refcoco", __doc__, download=True).parse_args(arguments)
    names = [source.name for source in SOURCES]
    hint = "Get train2014.zip from cocodataset.org and the others as --help describes, or add --download."
    files = archives.find(options, names, SOURCES, hint)
    written = archives.unpack(files, options.out, archives.matching(_REFERS))
    named = _image_ids(options.out)

    def choose(member: str) -> str | None:
        image = _IMAGE.match(member)
        return f"images/train2014/{image[1]}" if image and int(image[2]) in named else None

    written += archives.unpack(files, options.out, choose)

    from diffperc.data import RefCOCO

    for name in _NAMES:
        if (options.out / name).is_dir():
            train = RefCOCO("train", str(options.out), name)
            val = RefCOCO("val", str(options.out), name)
            counts = {"training refs": len(train), "validation sentences": len(val)}
            archives.report(written, options.out / name, counts)
            written += 1  # "nothing to do" is printed once only


def _image_ids(root: Path) -> set[int]:
    """COCO's ids of the images that any ref names.

    Raises:
        DataError: there are no refs, or a file of them cannot be read.
    """
    # late: the package diffperc.data imports torch
    from diffperc.data.formats.refer import read_refs

    files = sorted(root.glob("refcoco*/refs(*).p"))
    if not files:
        raise DataError(
            f"{root}: has no refcoco*/refs(*).p, and no archive with them is given. Give refcoco.zip, refcoco+.zip or "
            "refcocog.zip."
        )
    ids: set[int] = set()
    for file in files:
        ids.update(ref["image_id"] for ref in read_refs(file))
    return ids
