"""COCO's persons in its true layout and format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diffperc.types.keypoints import COCO_KEYPOINTS

WIDTH, HEIGHT = 64, 48


def annotation(identity: int, image: int, box: list[float], labelled: int = 17, crowd: int = 0) -> dict[str, Any]:
    joints = [[3 * i + 0.5, 2 * i, 2] if i < labelled else [0, 0, 0] for i in range(17)]
    return {
        "id": identity,
        "image_id": image,
        "category_id": 1,
        "bbox": box,
        "area": 123.5,
        "iscrowd": crowd,
        "num_keypoints": labelled,
        "keypoints": [v for joint in joints for v in joint],
        "segmentation": [[0, 0, 10, 0, 10, 10]],
    }


def write(root: Path, split: str) -> Path:
    """Images 1 and 2 on disk, 3 only in the json; returns the json."""
    (root / split).mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    for number in (1, 2):
        pixels = np.full((HEIGHT, WIDTH, 3), 40 * number, np.uint8)
        Image.fromarray(pixels).save(root / split / f"{number:012d}.jpg")
    truth = {
        "info": {},
        "licenses": [],
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", "height": HEIGHT, "width": WIDTH} for i in (1, 2, 3)],
        "annotations": [
            annotation(10, 1, [5, 6, 20, 30]),
            annotation(11, 1, [-4, 20.5, 30, 60], labelled=3),
            annotation(12, 1, [0, 0, 10, 10], labelled=0),
            annotation(13, 2, [0, 0, 60, 40], crowd=1),
            annotation(14, 2, [63.5, 5, 20, 20]),
            annotation(15, 2, [1, 2, 3.5, 4]),
            annotation(16, 3, [1, 2, 30, 40]),
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_KEYPOINTS.names)}],
    }
    file = root / f"annotations/person_keypoints_{split}.json"
    file.write_text(json.dumps(truth))
    return file


def write_root(tmp_path: Path) -> Path:
    """Both splits, in a path with a space and an umlaut."""
    root = tmp_path / "my dätä"
    for split in ("train2017", "val2017"):
        write(root, split)
    return root
