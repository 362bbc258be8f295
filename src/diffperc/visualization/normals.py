"""Normals as colours, as the field draws them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffperc.types import Picture


def normal_colours(normals: NDArray[np.floating]) -> Picture:
    """(H, W, 3) unit vectors to (H, W, 3) RGB, (n + 1) / 2; black where none was measured."""
    colours = ((normals + 1) / 2 * 255).round().clip(0, 255).astype(np.uint8)
    colours[~normals.any(-1)] = 0
    return colours
