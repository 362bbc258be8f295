"""Files of predicted depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngInfo

from diffperc.data.formats.images import COUNTS_PER_METRE
from diffperc.inference.output_files import write_array, write_picture, write_text
from diffperc.visualization.colours import colormapped

_COUNTS = (1000, 256)  # per metre, the first with which the largest depth can be written
_LARGEST = 65534  # 65535 is read as "not measured"


def write_depth(stem: Path, depth: NDArray[np.float32]) -> str:
    """``<stem>_depth.png`` (16 bit, with its scale), ``.json`` (scale), ``.npy`` (float32, metres), ``_depth_colour.png``.

    The scale is 1000 counts per metre, millimetres, up to 65.534 m; 256, as KITTI's, up to 255.99 m; else the largest whole
    number with which nothing saturates, at least 1. `read_depth` reads it from the png.

    Args:
        stem: path without ending.
        depth: (H, W) metres.

    Returns:
        What was found and the names of the files, for a message.
    """
    base = stem.with_name(stem.name + "_depth")
    low, high = float(depth.min()), float(depth.max())
    fits = [scale for scale in _COUNTS if round(high * scale) <= _LARGEST]
    scale = fits[0] if fits else max(1, int(_LARGEST / high))
    text = PngInfo()
    text.add_text(COUNTS_PER_METRE, str(scale))
    text.add_text("description", f"depth, {scale} counts per metre, 0 = not measured")
    counts = np.clip(np.round(depth * scale), 0, _LARGEST).astype(np.uint16)
    write_picture(base.with_name(base.name + ".png"), counts, pnginfo=text)  # type: ignore[arg-type]
    described = {COUNTS_PER_METRE: scale, "not_measured": 0, "unit": "metre", "smallest": low, "largest": high}
    write_text(base.with_name(base.name + ".json"), described)
    write_array(base.with_name(base.name + ".npy"), depth)
    write_picture(base.with_name(base.name + "_colour.png"), colormapped(depth, low, high))
    return f"{low:.2f} to {high:.2f} m, mean {depth.mean():.2f} m -> {base}.png, .json, .npy, _colour.png"
