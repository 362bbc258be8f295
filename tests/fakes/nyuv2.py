"""NYUv2 in its true layout and format: folders per scene and two lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SCENES = ("kitchen", "office_kitchen", "study")


def write_frame(root: Path, folder: str, number: int, size: tuple[int, int] = (24, 32)) -> str:
    """One frame: jpg and 16-bit depth of `number` centimetres; returns its line of the list."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    image, depth = f"{folder}/rgb_{number:05d}.jpg", f"{folder}/sync_depth_{number:05d}.png"
    pixels = np.random.default_rng(number).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(root / image)
    counts = np.full(size, 10 * number, np.uint16)
    counts[0, 0], counts[0, 1] = 0, 65535
    Image.fromarray(counts).save(root / depth)
    return f"{image} {depth} 518.8579\n"


def write_root(tmp_path: Path) -> Path:
    """Three training and two test frames, in a path with a space and an umlaut."""
    root = tmp_path / "my dätä"
    lines = [
        write_frame(root, f"sync/{s}", n) for s, n in (("office_kitchen_01", 150), ("study_room_2", 200), ("cave", 999))
    ]
    (root / "train_list.txt").write_text("".join(lines) + "\n")
    tests = [write_frame(root, "official_splits/test/kitchen", n) for n in (100, 300)]
    # the published lists are relative to the split's folder and begin with a slash
    (root / "test_list.txt").write_text("".join(tests).replace("official_splits/test", ""))
    return root
