"""CamVid in its true layout: its folders and lists in every form they are published in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_frame(root: Path, split: str, name: str, value: int, suffix: str = ".png") -> None:
    """A frame of one class, with a void pixel in the corner."""
    for folder in (split, f"{split}annot"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(root / split / f"{name}{suffix}")
    mask = np.full((24, 32), value, np.uint8)
    mask[0, 0] = 11
    Image.fromarray(mask).save(root / f"{split}annot" / f"{name}.png")


def write_root(tmp_path: Path) -> Path:
    """Three training frames and one to evaluate on, in a path with a space and an umlaut."""
    root = tmp_path / "my dätä"
    write_frame(root, "train", "0001TP_006690", 3)
    write_frame(root, "train", "0001TP_006720", 8, ".jpg")
    write_frame(root, "train", "0016E5.07959", 0)
    write_frame(root, "val", "0016E5_07961", 10)
    # as published, with another extension than the second file's; relative; a bare name with a dot of its own
    (root / "train.txt").write_text(
        "/SegNet/CamVid/train/0001TP_006690.png /SegNet/CamVid/trainannot/0001TP_006690.png\n"
        "\n"
        "train/0001TP_006720.png trainannot/0001TP_006720.png\n"
        "0016E5.07959\n"
    )
    (root / "val.txt").write_text("0016E5_07961")
    return root
