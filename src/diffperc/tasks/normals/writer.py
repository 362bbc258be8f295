"""Files of predicted normals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffperc.inference.output_files import write_array, write_picture
from diffperc.tasks.normals.colours import normal_colours


def write_normals(stem: Path, normals: NDArray[np.float32]) -> str:
    """``<stem>_normals.png`` (8-bit RGB, (n + 1) / 2) and ``<stem>_normals.npy`` (float32 unit vectors).

    Args:
        stem: path without ending.
        normals: (H, W, 3).

    Returns:
        What was found and the names of the files, for a message.
    """
    base = stem.with_name(stem.name + "_normals")
    write_picture(base.with_name(base.name + ".png"), normal_colours(normals))
    write_array(base.with_name(base.name + ".npy"), normals)
    x, y, z = normals.mean((0, 1))
    return f"mean normal ({x:.2f}, {y:.2f}, {z:.2f}) -> {base}.png, .npy"
