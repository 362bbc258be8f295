"""Means over a neighbourhood."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

_PART = 14  # of the shorter side


def neighbourhood_mean(values: Tensor) -> Tensor:
    """The mean of (B, H, W) over a square of a fourteenth of the shorter side around each place, within the image."""
    side = max(1, min(values.shape[-2:]) // _PART // 2 * 2 + 1)
    return F.avg_pool2d(values[:, None], side, 1, side // 2, count_include_pad=False)[:, 0]
