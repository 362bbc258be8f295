"""Which pixels count: the one definition that loss, metrics, baseline, figures and inspection share."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Pixels = TypeVar("Pixels", Tensor, NDArray[np.float32])


def valid_depth(depth: Pixels, max_depth: float | None = None, min_depth: float = 0.0) -> Pixels:
    """Where depth was measured and a network can express it: inside (min_depth, max_depth), both exclusive.

    Args:
        depth: metres; 0 and NaN are not measured, and infinity is beyond every limit.
        max_depth: metres; None: no limit.
        min_depth: metres.

    Returns:
        Booleans of the same shape.
    """
    return (depth > min_depth) & (depth < (math.inf if max_depth is None else max_depth))  # type: ignore[return-value]
