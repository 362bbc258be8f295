"""Feature and attention maps as pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from diffperc.types import Picture
from diffperc.visualization.colours import Scale

_SHADE = 0.35  # of the image below a map


def enlarged(picture: Picture, side: int) -> Picture:
    """A picture whose longer side has at least `side` pixels, so that cells of small maps can be seen."""
    ratio = side / max(picture.shape[:2])
    if ratio <= 1:
        return picture
    size = (round(picture.shape[1] * ratio), round(picture.shape[0] * ratio))
    larger: Picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    return larger


def heat(image: Picture, values: NDArray[np.floating], scale: Scale) -> Picture:
    """A map (h, w) over an image (H, W, 3), enlarged to its size; `scale` gives the colours."""
    size = (image.shape[1], image.shape[0])
    larger = cv2.resize(np.asarray(values, np.float32), size, interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    mixed = _SHADE * grey + (1 - _SHADE) * scale.draw(larger)
    return mixed.round().astype(np.uint8)


def principal_components(features: NDArray[np.floating]) -> Picture:
    """Features (C, h, w) as (h, w, 3) RGB: their first three principal components over the cells, each from 0 to 255."""
    cells = features.reshape(len(features), -1).T.astype(np.float64)
    cells = cells - cells.mean(0)
    _, directions = np.linalg.eigh(cells.T @ cells)  # the largest is the last
    parts = cells @ directions[:, :-4:-1]
    parts = np.pad(parts, ((0, 0), (0, 3 - parts.shape[1])))
    low, high = np.percentile(parts, (1, 99), axis=0)
    scaled = np.clip((parts - low) / np.maximum(high - low, 1e-9), 0, 1) * 255
    return scaled.round().astype(np.uint8).reshape(*features.shape[1:], 3)
