"""RefCOCO in REFER's layout: pickled refs, COCO's instances and one image."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 20, 30


def square(left: int, top: int, side: int) -> list[int]:
    """A polygon of COCO's: x and y in turn."""
    return [left, top, left + side, top, left + side, top + side, left, top + side]


def ref(number: int, annotation: int, split: str, *sentences: str, image: int = 1, **more: Any) -> dict[str, Any]:
    entries = [{"sent_id": i, "raw": s, "sent": s.lower(), "tokens": s.split()} for i, s in enumerate(sentences)]
    name = f"COCO_train2014_{image:012d}_{annotation}.jpg"
    known = {"ref_id": number, "ann_id": annotation, "image_id": image, "category_id": 18, "file_name": name}
    return known | {"split": split, "sentences": entries} | more


REFS = [
    ref(0, 10, "train", "Left dog", "the DOG  on the left"),
    ref(1, 11, "train", "two cats", ""),
    ref(2, 12, "val", "crowd", "the people"),
    ref(3, 13, "val", "a run"),
    ref(4, 10, "train", "", " "),
    ref(5, 10, "testA", "dog"),
]


def write_refs(root: Path, refs: Any, protocol: int = 2) -> Path:
    path = root / "refcoco" / "refs(unc).p"
    path.write_bytes(pickle.dumps(refs, protocol=protocol))
    return path


def write_root(tmp_path: Path) -> Path:
    """One image; a square, two squares apart, run lengths plain and compressed."""
    root = tmp_path / "my dätä"
    (root / "refcoco").mkdir(parents=True)
    (root / "images" / "train2014").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(root / "images/train2014/COCO_train2014_000000000001.jpg")
    # runs go down the columns: 3 columns of nothing, one column of the object, the rest nothing
    plain = {"size": [HEIGHT, WIDTH], "counts": [3 * HEIGHT, HEIGHT, (WIDTH - 4) * HEIGHT]}
    compressed = {"size": [HEIGHT, WIDTH], "counts": "l1d0X`0"}
    shapes = [[square(2, 3, 5)], [square(0, 0, 4), square(20, 10, 6)], plain, compressed]
    annotations = [
        {"id": 10 + i, "image_id": 1, "category_id": (18, 17, 1, 1)[i], "segmentation": s, "iscrowd": int(i > 1)}
        for i, s in enumerate(shapes)
    ]
    instances = {
        "images": [{"id": 1, "file_name": "COCO_train2014_000000000001.jpg", "height": HEIGHT, "width": WIDTH}],
        "annotations": annotations,
        "categories": [{"id": i, "name": n} for i, n in ((18, "dog"), (1, "person"), (17, "cat"))],
    }
    (root / "refcoco" / "instances.json").write_text(json.dumps(instances))
    write_refs(root, REFS)
    return root
