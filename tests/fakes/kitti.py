"""KITTI in its true layout and format: raw drives, annotated depth and lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_frame(root: Path, drive: str, number: int, part: str = "", size: tuple[int, int] = (375, 1242)) -> str:
    """One frame whose red is its column and green its row, modulo 256; returns its line without what stands above."""
    image = f"{drive[:10]}/{drive}/image_02/data/{number:010d}.png"
    depth = f"{drive}/proj_depth/groundtruth/image_02/{number:010d}.png"
    rows, columns = np.indices(size)
    pixels = np.stack([columns % 256, rows % 256, np.full(size, number)], -1).astype(np.uint8)
    counts = np.zeros(size, np.uint16)
    # one beam in the middle, one in the last row, one above and one left of the cut
    counts[200, 600], counts[-1, 700], counts[3, 600], counts[200, 4] = 12 * 256 + 64, 256 * number, 999, 999
    for array, file in ((pixels, root / "raw" / image), (counts, root / "data_depth_annotated" / part / depth)):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(file)
    return f"{image} {depth}"


def published(line: str, part: str) -> str:
    image, depth = line.split()
    return f"/raw_data/{image} /data_depth_annotated/{part}/{depth}"


def write_root(tmp_path: Path) -> Path:
    """Two training frames and two to evaluate on, in lists of every form, in a path with a space and an umlaut."""
    root = tmp_path / "my dätä"
    first = write_frame(root, "2011_09_26_drive_0057_sync", 7, "train")
    second = write_frame(root, "2011_10_03_drive_0034_sync", 8, "train", size=(376, 1241))
    (root / "eigen_train_list.txt").write_text(f"{published(first, 'train')}\n\n{second} 718.856\n")
    third = write_frame(root, "2011_09_26_drive_0002_sync", 9, "val")
    fourth = write_frame(root, "2011_09_28_drive_0001_sync", 10)  # not sorted into train and val
    (root / "eigen_test_list.txt").write_text(f"{published(third, 'val')}\n{published(fourth, 'val')} 707.0493\n")
    return root
