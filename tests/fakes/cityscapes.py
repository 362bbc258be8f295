"""Cityscapes in its true layout: folders per city, with the files that lie beside the masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_frame(root: Path, split: str, frame: str, ids: np.ndarray) -> Path:
    """One frame with the files that lie beside the one that counts; returns the mask's path."""
    city = frame.split("_")[0]
    image, masks = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
    for folder in (image, masks):
        folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(int(ids.sum())).integers(0, 255, (*ids.shape, 3), np.uint8)
    Image.fromarray(pixels).save(image / f"{frame}_leftImg8bit.png")
    Image.fromarray(ids).save(masks / f"{frame}_gtFine_labelIds.png")
    Image.fromarray(ids.astype(np.uint16) * 1000).save(masks / f"{frame}_gtFine_instanceIds.png")
    (masks / f"{frame}_gtFine_polygons.json").write_text("{}")
    return masks / f"{frame}_gtFine_labelIds.png"


def write_root(tmp_path: Path) -> Path:
    """Two cities to train on and one to evaluate on, in a path with a space and an umlaut."""
    root = tmp_path / "my dätä"
    every = np.arange(34, dtype=np.uint8).repeat(8).reshape(17, 16)
    write_frame(root, "train", "zurich_000121_000019", every)
    write_frame(root, "train", "aachen_000000_000019", np.full((17, 16), 26, np.uint8))
    write_frame(root, "val", "frankfurt_000000_000294", np.full((17, 16), 7, np.uint8))
    return root
