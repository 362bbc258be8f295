"""Certainty of class probabilities."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def certainty(probabilities: NDArray[np.floating], axis: int) -> NDArray[np.float32]:
    """1 less the entropy as a share of the largest possible: 0 where all classes are equally likely, 1 where one is sure.

    Args:
        probabilities: summing to 1 over `axis`, which is gone in the result; computed in float32.
        axis: of the classes.
    """
    classes = np.moveaxis(probabilities, axis, 0)
    total = np.zeros(classes.shape[1:], np.float32)
    for one in classes:  # class by class: of all at once there would be several copies
        p = one.astype(np.float32)
        total -= p * np.log(np.maximum(p, np.finfo(np.float32).tiny))
    return (1 - total / math.log(len(classes))).clip(0, 1)
