"""Bilinear resizing of dense maps."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def resize_bilinear(dense: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """(B, C, h, w) to (B, C, *size); the same tensor where it has that size."""
    if dense.shape[-2:] == tuple(size):
        return dense
    return F.interpolate(dense, size=tuple(size), mode="bilinear", align_corners=align_corners)
