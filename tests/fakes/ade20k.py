"""ADE20K in its true layout: the archive's folders, with frames of one class each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_frame(root: Path, part: str, name: str, value: int, mode: str = "RGB") -> None:
    """A frame of one id, with "other" in the corner."""
    image, mask = root / "images" / part / f"{name}.jpg", root / "annotations" / part / f"{name}.png"
    for folder in (image.parent, mask.parent):
        folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(value).integers(0, 255, (24, 32, 3), np.uint8)).convert(mode).save(image)
    ids = np.full((24, 32), value, np.uint8)
    ids[0, 0] = 0
    Image.fromarray(ids).save(mask)


def write_root(tmp_path: Path) -> Path:
    """Two training frames and one to evaluate on, below the archive's folder, in a path with a space and an umlaut."""
    root = tmp_path / "my dätä"
    inner = root / "ADEChallengeData2016"
    write_frame(inner, "training", "ADE_train_00000002", 150, mode="L")  # a few photographs are grey
    write_frame(inner, "training", "ADE_train_00000001", 1)
    write_frame(inner, "validation", "ADE_val_00000001", 13)
    (inner / "objectInfo150.txt").write_text("Idx\tRatio\n")
    return root
