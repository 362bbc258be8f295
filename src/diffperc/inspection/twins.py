"""Images of both splits that are nearly the same, such as neighbouring frames of one video."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from diffperc.types import Picture

_SIDE = 16
_FLAT = 4.0  # grey levels of standard deviation below which images cannot be told apart
_NEAR = 0.99  # correlation


def thumbnail(image: Picture) -> NDArray[np.float32] | None:
    """(256,) grey levels of an image at 16 x 16 pixels, with mean 0 and length 1; None for one without contrast."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    values = grey.reshape(-1).astype(np.float32)
    if values.std() < _FLAT:
        return None
    values -= values.mean()
    scaled: NDArray[np.float32] = values / np.linalg.norm(values)
    return scaled


def near_twins(
    train: Mapping[str, NDArray[np.float32]], val: Mapping[str, NDArray[np.float32]]
) -> list[tuple[str, str]]:
    """Validation images that correlate by 0.99 or more with a training image, each with the nearest one.

    Args:
        train: thumbnails of training images by path.
        val: the same of validation images.
    """
    if not train or not val:
        return []
    likeness = np.stack(list(val.values())) @ np.stack(list(train.values())).T
    nearest = likeness.argmax(1)
    names = list(train)
    pairs = []
    for i, path in enumerate(val):
        if likeness[i, nearest[i]] >= _NEAR and path != names[nearest[i]]:
            pairs.append((path, names[nearest[i]]))
    return pairs
