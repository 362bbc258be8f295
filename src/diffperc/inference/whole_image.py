"""Predicting whole images by windows and mirror images (methods.md 1.3, 2.1)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from diffperc.types import Batch

Predictor = Callable[[Batch], Tensor]


def window_starts(length: int, size: int, count: int) -> list[int]:
    """First pixel of each of `count` windows of `size` over `length` pixels.

    The spacing is rounded down as in the released evaluation; where that leaves pixels at the end uncovered (KITTI: the
    last 9 columns, NaN in the released code), one more window covers them. A very long image gets as many windows as
    leave no gap.
    """
    if length <= size:
        return [0]
    count = max(count, math.ceil(length / size), 2)
    stride = (length - size) // (count - 1)
    starts = [i * stride for i in range(count)]
    return starts if starts[-1] + size == length else [*starts, length - size]


def predict_whole(predict: Predictor, batch: Batch, windows: int = 1, flip: bool = False) -> Tensor:
    """Predict an image as the mean over square windows along its longer side, and over the mirror image.

    Args:
        predict: a batch (B, 3, h, w) to (B, K, h, w).
        batch: images of any size.
        windows: number of windows; 1, or a square image: the whole image at once.
        flip: average with the mirrored prediction of the mirrored image.

    Returns:
        (B, K, H, W).
    """
    height, width = batch.image.shape[-2:]
    size, axis = min(height, width), -1 if width >= height else -2
    if windows == 1 or height == width:
        return _mirrored(predict, batch, flip)
    length = max(height, width)
    starts = window_starts(length, size, windows)
    total: Tensor | None = None
    count = torch.zeros(length, device=batch.image.device)
    for start in starts:
        part = dataclasses.replace(batch, image=batch.image.narrow(axis, start, size), targets={})
        dense = _mirrored(predict, part, flip)
        if total is None:
            shape = [*dense.shape[:2], height, width]
            total = dense.new_zeros(shape)
        # an extra window at the end speaks only for what no other has covered
        extra = start == starts[-1] and len(starts) > 2 and start - starts[-2] != starts[1]
        first = starts[-2] + size if extra else start
        total.narrow(axis, first, start + size - first).add_(dense.narrow(axis, first - start, start + size - first))
        count[first : start + size] += 1
    assert total is not None
    return total / (count if axis == -1 else count[:, None])


def _mirrored(predict: Predictor, batch: Batch, flip: bool) -> Tensor:
    dense = predict(batch)
    if not flip:
        return dense
    mirror = dataclasses.replace(batch, image=batch.image.flip(-1), targets={})
    return (dense + predict(mirror).flip(-1)) / 2
