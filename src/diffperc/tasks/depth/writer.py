"""Files of predicted depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngInfo

from diffperc.inference.output_files import write_array, write_picture
from diffperc.visualization.colours import colormapped

_COUNTS = 1000  # per metre
_LARGEST = 65535


def write_depth(stem: Path, depth: NDArray[np.float32]) -> str:
    """``<stem>_depth.png`` (16 bit, millimetres), ``.npy`` (float32, metres) and ``<stem>_depth_colour.png``.

    Args:
        stem: path without ending.
        depth: (H, W) metres.

    Returns:
        What was found and the names of the files, for a message.
    """
    base = stem.with_name(stem.name + "_depth")
    text = PngInfo()
    text.add_text("unit", "millimetre")
    text.add_text("scale", f"{_COUNTS} counts per metre, 0 = not measured")
    counts = np.clip(np.round(depth * _COUNTS), 0, _LARGEST).astype(np.uint16)
    write_picture(base.with_name(base.name + ".png"), counts, pnginfo=text)  # type: ignore[arg-type]
    write_array(base.with_name(base.name + ".npy"), depth)
    write_picture(base.with_name(base.name + "_colour.png"), colormapped(depth, float(depth.min()), float(depth.max())))
    found = f"{depth.min():.2f} to {depth.max():.2f} m, mean {depth.mean():.2f} m"
    return f"{found} -> {base}.png, .npy, _colour.png"
