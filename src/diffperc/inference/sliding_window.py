"""Predicting whole images by windows, scales and mirror images (methods.md 1.1, 1.3, 2.1, 2.2)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from diffperc.types import Batch

Predict = Callable[[Batch], Tensor]


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


def predict_whole(predict: Predict, batch: Batch, windows: int = 1, flip: bool = False) -> Tensor:
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
        dense = _mirrored(predict, _with_image(batch, batch.image.narrow(axis, start, size)), flip)
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


def predict_probabilities(
    predict: Predict,
    batch: Batch,
    size: tuple[int, int],
    window: int | None = None,
    stride: int | None = None,
    ratios: Sequence[float] = (1.0,),
    flip: bool = False,
) -> Tensor:
    """Class probabilities, averaged over scales and mirror images.

    Of each, the logits of windows are averaged where they overlap, brought to `size`, and only then made probabilities
    (methods.md 1.1).

    Args:
        predict: a batch (B, 3, h, w) to logits (B, K, h, w).
        batch: images of any size.
        size: (H, W) of the result.
        window: side in pixels of square windows; None: the whole image.
        stride: pixels from one window to the next; None: as wide as the window.
        ratios: scales of the image.
        flip: average with the mirrored prediction of the mirrored image.

    Returns:
        (B, K, H, W), summing to 1 over K.
    """
    total: Tensor | None = None
    for ratio in ratios:
        image = _scaled(batch.image, ratio)
        found = _probabilities(predict, _with_image(batch, image), size, window, stride)
        total = found if total is None else total + found
        if flip:
            mirrored = _probabilities(predict, _with_image(batch, image.flip(-1)), size, window, stride)
            total = total + mirrored.flip(-1)
    assert total is not None
    return total / (len(ratios) * (2 if flip else 1))


def _scaled(image: Tensor, ratio: float) -> Tensor:
    if ratio == 1:
        return image
    shape = [max(1, round(side * ratio)) for side in image.shape[-2:]]
    return F.interpolate(image, size=shape, mode="bilinear", align_corners=False)


def _probabilities(
    predict: Predict, batch: Batch, size: tuple[int, int], window: int | None, stride: int | None
) -> Tensor:
    logits = predict(batch) if window is None else _slide(predict, batch, window, stride or window)
    if logits.shape[-2:] != size:
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    return logits.float().softmax(1)


def _slide(predict: Predict, batch: Batch, window: int, stride: int) -> Tensor:
    """Logits of an image by windows; the last window of a row or column is moved back to the border."""
    height, width = batch.image.shape[-2:]
    tall, wide = min(window, height), min(window, width)
    total: Tensor | None = None
    count = batch.image.new_zeros(height, width)
    for top in _starts(height, tall, min(stride, tall)):
        for left in _starts(width, wide, min(stride, wide)):
            part = (slice(top, top + tall), slice(left, left + wide))
            logits = predict(_with_image(batch, batch.image[..., part[0], part[1]]))
            if total is None:
                total = logits.new_zeros(*logits.shape[:2], height, width)
            total[..., part[0], part[1]] += logits
            count[part] += 1
    assert total is not None
    return total / count


def _starts(length: int, size: int, stride: int) -> list[int]:
    steps = math.ceil((length - size) / stride) + 1
    return [min(i * stride, length - size) for i in range(steps)]


def _with_image(batch: Batch, image: Tensor) -> Batch:
    return dataclasses.replace(batch, image=image, targets={})


def _mirrored(predict: Predict, batch: Batch, flip: bool) -> Tensor:
    dense = predict(batch)
    if not flip:
        return dense
    return (dense + predict(_with_image(batch, batch.image.flip(-1))).flip(-1)) / 2
