"""Prediction of whole images from windows, at several scales and mirrored (methods.md 1.1, 1.3, 2.1, 2.2)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

from torch import Tensor

from diffperc.layers.resize import resize_bilinear
from diffperc.types import Batch

Predict = Callable[[Batch], Tensor]


def window_starts(length: int, size: int, count: int) -> list[int]:
    """First pixel of each of `count` windows of `size` over `length` pixels.

    The spacing is rounded down as in the released evaluation; where that leaves pixels at the end uncovered (KITTI: the
    last 9 columns, NaN in the released code), one more window covers them. A very long image gets as many windows as are
    needed to leave no gap.
    """
    if length <= size:
        return [0]
    count = max(count, math.ceil(length / size), 2)
    stride = (length - size) // (count - 1)
    starts = [i * stride for i in range(count)]
    return starts if starts[-1] + size == length else [*starts, length - size]


def predict_whole(predict: Predict, batch: Batch, windows: int = 1, flip: bool = False) -> Tensor:
    """Predict an image as the mean over square windows along its longer side, and over the image and its mirror image.

    Args:
        predict: a batch (B, 3, h, w) to (B, K, h, w).
        batch: images of any size.
        windows: number of windows; with 1, or if the image is square, the whole image is predicted at once.
        flip: average with the mirrored prediction of the mirrored image.

    Returns:
        (B, K, H, W).
    """
    height, width = batch.image.shape[-2:]
    if windows == 1 or height == width:
        return _mirrored(predict, batch, flip)
    size, length = min(height, width), max(height, width)
    axis = -1 if width > height else -2
    starts = window_starts(length, size, windows)
    counted = list(starts)
    if len(starts) > 2 and starts[-1] - starts[-2] != starts[1]:
        # an extra window at the end counts only for the pixels that no other window covers
        counted[-1] = starts[-2] + size
    mean = _Mean(batch)
    for start, first in zip(starts, counted, strict=True):
        window = batch.image.narrow(axis, start, size)
        dense = _mirrored(predict, _with_image(batch, window), flip)
        corner = [0, 0]
        corner[axis] = first
        mean.add(dense.narrow(axis, first - start, start + size - first), corner[0], corner[1])
    return mean.compute()


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

    For each of them, the logits of windows are averaged where they overlap and resized to `size`, and only then converted
    to probabilities (methods.md 1.1).

    Args:
        predict: a batch (B, 3, h, w) to logits (B, K, h, w).
        batch: images of any size.
        size: (H, W) of the result.
        window: side in pixels of square windows; None: the whole image.
        stride: pixels from one window to the next; None: the side of a window.
        ratios: factors by which the image is resized.
        flip: average with the mirrored prediction of the mirrored image.

    Returns:
        (B, K, H, W), summing to 1 over K.
    """
    total = batch.image.new_zeros(len(batch), 1, *size)
    for ratio in ratios:
        scaled = [max(1, round(side * ratio)) for side in batch.image.shape[-2:]]
        image = resize_bilinear(batch.image, scaled)
        total = total + _probabilities(predict, _with_image(batch, image), size, window, stride)
        if flip:
            mirrored = _probabilities(predict, _with_image(batch, image.flip(-1)), size, window, stride)
            total = total + mirrored.flip(-1)
    return total / (len(ratios) * (2 if flip else 1))


def _probabilities(
    predict: Predict, batch: Batch, size: tuple[int, int], window: int | None, stride: int | None
) -> Tensor:
    logits = predict(batch) if window is None else _slide(predict, batch, window, stride or window)
    return resize_bilinear(logits, size).float().softmax(1)


def _slide(predict: Predict, batch: Batch, window: int, stride: int) -> Tensor:
    """Logits of an image by windows; the last window of a row or column is moved back to the border."""
    height, width = batch.image.shape[-2:]
    tall, wide = min(window, height), min(window, width)
    tops, lefts = _starts(height, tall, min(stride, tall)), _starts(width, wide, min(stride, wide))
    mean = _Mean(batch)
    for top, left in itertools.product(tops, lefts):
        part = batch.image[..., top : top + tall, left : left + wide]
        mean.add(predict(_with_image(batch, part)), top, left)
    return mean.compute()


class _Mean:
    """The mean of predictions for parts of an image, at each pixel over the parts that cover it."""

    def __init__(self, batch: Batch) -> None:
        self.count = batch.image.new_zeros(batch.image.shape[-2:])
        self.total: Tensor | None = None

    def add(self, dense: Tensor, top: int, left: int) -> None:
        """Add a prediction (B, K, h, w) for the part whose upper left pixel is (top, left)."""
        if self.total is None:
            self.total = dense.new_zeros(*dense.shape[:2], *self.count.shape)
        height, width = dense.shape[-2:]
        self.total[..., top : top + height, left : left + width] += dense
        self.count[top : top + height, left : left + width] += 1

    def compute(self) -> Tensor:
        """(B, K, H, W)."""
        assert self.total is not None
        return self.total / self.count


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
