"""A folder of one's own with the ground truth of every task."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fakes.coco_pose import annotation

SIZE = (24, 32)
NAMES = ["kitchen/1.jpg", "kitchen/2.jpg", "ß ü/3.jpg", "4.jpg"]


def write_image(file: Path, value: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(value).integers(0, 255, (*SIZE, 3), np.uint8)).save(file)


def write_mask(file: Path, value: int) -> None:
    """One id everywhere but in the corner, which is not counted."""
    file.parent.mkdir(parents=True, exist_ok=True)
    ids = np.full(SIZE, value, np.uint8)
    ids[0, 0] = 255
    Image.fromarray(ids).save(file)


def write_root(tmp_path: Path) -> Path:
    """Four images with every truth, in a path with a space and an umlaut; the last is for validation."""
    root = tmp_path / "my dätä"
    rows, images, annotations = [], [], []
    for i, name in enumerate(NAMES):
        write_image(root / "images" / name, i)
        stem = name.removesuffix(".jpg")
        write_mask(root / "masks" / f"{stem}.png", i % 3)
        (root / "depth" / stem).parent.mkdir(parents=True, exist_ok=True)
        if i % 2:
            np.save(root / "depth" / f"{stem}.npy", np.full(SIZE, i + 0.5))
        else:
            Image.fromarray(np.full(SIZE, 1000 * (i + 1), np.uint16)).save(root / "depth" / f"{stem}.png")
        region = np.zeros(SIZE, np.uint8)
        region[:, : i + 3] = 255
        (root / "objects").mkdir(exist_ok=True)
        Image.fromarray(region).save(root / "objects" / f"{i}.png")
        row = {"file_name": f"images/{name}", "mask": f"objects/{i}.png", "category": ("cup", "lamp")[i % 2]}
        rows += [row | {"expression": f"thing {i}"}, row | {"expressions": [f"object {i}", " "]}]
        images.append({"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        annotations.append(annotation(10 + i, i, [2, 2, 20, 20]))
    (root / "expressions.jsonl").write_text("\n".join(json.dumps(r) for r in rows) + "\n\n")
    persons = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (root / "keypoints.json").write_text(json.dumps(persons))
    (root / "classes.yaml").write_text("- floor\n- wall\n- lamp\n")
    (root / "val.txt").write_text("4.jpg\n\n")
    return root
