"""Colours for numbers and class ids."""

from __future__ import annotations

import colorsys

import matplotlib
import numpy as np
from numpy.typing import NDArray

from diffperc.types import Picture

RGB = tuple[int, int, int]
TARGET, PREDICTION = (46, 204, 64), (255, 65, 54)
"""RGB of what is annotated and of what is predicted."""


def colormapped(values: NDArray[np.floating], low: float, high: float, colormap: str = "turbo") -> Picture:
    """(H, W) numbers to (H, W, 3) RGB; `low` and below is one end of the colormap, `high` the other; NaN is black."""
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    rgb = matplotlib.colormaps[colormap](np.nan_to_num(scaled))[..., :3] * 255
    rgb[np.isnan(values)] = 0
    return rgb.round().astype(np.uint8)


def class_colours(count: int) -> NDArray[np.uint8]:
    """(count, 3) RGB that differ clearly between neighbouring ids; the colour of an id does not depend on the count."""
    golden = 0.618034  # steps around the hue circle that never meet
    saturations, values = (0.85, 0.55, 0.95), (0.9, 1.0, 0.6)
    colours = np.zeros((count, 3))
    for i in range(count):
        colours[i] = colorsys.hsv_to_rgb((i * golden) % 1, saturations[i % 3], values[i % 3])
    return (colours * 255).round().astype(np.uint8)
