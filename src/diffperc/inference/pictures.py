"""Pictures of dense results, as uint8 arrays."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def colour(values: NDArray[np.floating], low: float, high: float, colormap: str = "turbo") -> Picture:
    """(H, W) numbers to (H, W, 3) RGB; `low` and below is one end of the colormap, `high` the other; NaN is black."""
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    rgb = matplotlib.colormaps[colormap](np.nan_to_num(scaled))[..., :3] * 255
    rgb[np.isnan(values)] = 0
    return rgb.round().astype(np.uint8)


def panels(pictures: Sequence[tuple[str, Picture]]) -> Picture:
    """Titled pictures of equal size side by side, as one (h, w, 3) picture."""
    height, width = pictures[0][1].shape[:2]
    side = 3.0
    figure = Figure(figsize=(side * len(pictures), side * height / width + 0.35), dpi=100)
    canvas = FigureCanvasAgg(figure)
    for axis, (title, picture) in zip(np.ravel(figure.subplots(1, len(pictures))), pictures, strict=True):
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.995 - 0.33 / figure.get_figheight(), 0.02, 0)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
