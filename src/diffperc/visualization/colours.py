"""Colours for numbers and class ids, told apart also by those who see red and green alike."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

from diffperc.types import Picture

RGB = tuple[int, int, int]
Legend = list[tuple[str, RGB]]
"""Labels and their colours, in the order in which they are shown."""
TARGET, PREDICTION = (86, 180, 233), (213, 94, 0)
"""RGB of what is annotated and of what is predicted: sky blue and vermilion of Okabe and Ito's palette."""
_STEPS = 16  # candidates per channel of RGB
_LIGHT = (35, 92)  # of CIELAB, so that a colour shows on dark and on light images
_COLOURS = 256
# linear RGB as seen without long-wave and without middle-wave cones (Machado, Oliveira and Fernandes 2009, severity 1)
_BLINDNESS = (
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
)


@dataclass(frozen=True)
class Scale:
    """Which colour stands for which number; drawn below a picture as its colour bar.

    Attributes:
        low: the number at the lower end; what is below has its colour.
        high: the number at the upper end; what is above has its colour.
        unit: such as ``m``; empty for plain numbers.
        colormap: of matplotlib, perceptually uniform: equal steps look equal.
    """

    low: float
    high: float
    unit: str = ""
    colormap: str = "viridis"

    def draw(self, values: NDArray[np.floating]) -> Picture:
        """(H, W) numbers to (H, W, 3) RGB; NaN is black."""
        scaled = np.clip((values - self.low) / max(self.high - self.low, 1e-9), 0, 1)
        rgb = matplotlib.colormaps[self.colormap](np.nan_to_num(scaled))[..., :3] * 255
        rgb[np.isnan(values)] = 0
        return rgb.round().astype(np.uint8)


def class_colours(count: int) -> NDArray[np.uint8]:
    """(count, 3) RGB, each as far from those before it as can be; the colour of an id does not depend on the count.

    Raises:
        ValueError: more than 256 are wanted.
    """
    if count > _COLOURS:
        raise ValueError(f"there are {_COLOURS} colours, and {count} are wanted")
    return _palette()[:count]


@functools.cache
def _palette() -> NDArray[np.uint8]:
    """The colour that differs most from all before it, again and again, for normal and for colour-blind eyes."""
    steps = np.linspace(0, 1, _STEPS, dtype=np.float32)
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    seen = _lab(candidates)
    candidates = candidates[(_LIGHT[0] <= seen[:, 0]) & (seen[:, 0] <= _LIGHT[1])]
    linear = np.where(candidates <= 0.04045, candidates / 12.92, ((candidates + 0.055) / 1.055) ** 2.4)
    sights = [_lab(candidates)]
    for matrix in _BLINDNESS:
        simulated = np.clip(linear @ np.array(matrix, np.float32).T, 0, 1)
        sights.append(_lab(np.where(simulated <= 0.0031308, simulated * 12.92, 1.055 * simulated ** (1 / 2.4) - 0.055)))
    # begins with a blue, as most palettes for colour-blind readers do
    chosen = [int(np.abs(candidates - np.array([0.0, 0.45, 0.7])).sum(1).argmin())]
    nearest = np.full(len(candidates), np.inf)
    while len(chosen) < _COLOURS:
        for lab in sights:
            nearest = np.minimum(nearest, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(nearest.argmax()))
    return (candidates[chosen] * 255).round().astype(np.uint8)


def _lab(rgb: NDArray[np.floating]) -> NDArray[np.float32]:
    """CIELAB of (N, 3) RGB in [0, 1]."""
    lab: NDArray[np.float32] = cv2.cvtColor(rgb.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    return lab
