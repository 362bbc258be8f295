"""Prediction of whole images from windows, at several scales and mirrored (methods.md 1.1, 1.3, 2.1, 2.2)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

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


def predict_each(predict: Predict, batch: Batch, images: Iterable[Tensor], pixels: int = 0) -> Iterator[Tensor]:
    """Predict several views of the images of a batch.

    Args:
        predict: a batch (B, 3, h, w) to (B, K, h, w).
        batch: the images, with what else is known of each.
        images: views of all of them, (B, 3, h, w), of one size.
        pixels: views of at most so many pixels go through the network together; 0: each alone.

    Returns:
        (B, K, h, w) of each view, in their order.
    """
    group: list[Tensor] = []
    for image in images:
        if group and (len(group) + 1) * len(image) * image.shape[-2] * image.shape[-1] > pixels:
            yield from _together(predict, batch, group)
            group = []
        group.append(image)
    yield from _together(predict, batch, group)


def _together(predict: Predict, batch: Batch, images: Sequence[Tensor]) -> Sequence[Tensor]:
    if len(images) == 1:
        return [predict(batch.with_views(images))]
    return predict(batch.with_views(images)).chunk(len(images))


def predict_whole(predict: Predict, batch: Batch, windows: int = 1, flip: bool = False, pixels: int = 0) -> Tensor:
    """Predict an image as the mean over square windows along its longer side, and over the image and its mirror image.

    Args:
        predict: a batch (B, 3, h, w) to (B, K, h, w).
        batch: images of any size.
        windows: number of windows; with 1, or if the image is square, the whole image is predicted at once.
        flip: average with the mirrored prediction of the mirrored image.
        pixels: see `predict_each`.

    Returns:
        (B, K, H, W).
    """
    height, width = batch.image.shape[-2:]
    if windows == 1 or height == width:
        return next(_mirrored(predict, batch, [batch.image], flip, pixels))
    size, length = min(height, width), max(height, width)
    axis = -1 if width > height else -2
    starts = window_starts(length, size, windows)
    counted = list(starts)
    if len(starts) > 2 and starts[-1] - starts[-2] != starts[1]:
        # an extra window at the end counts only for the pixels that no other window covers
        counted[-1] = starts[-2] + size
    mean = _Mean(batch.image)
    parts = [batch.image.narrow(axis, start, size) for start in starts]
    found = _mirrored(predict, batch, parts, flip, pixels)
    for start, first, dense in zip(starts, counted, found, strict=True):
        corner = [0, 0]
        corner[axis] = first
        mean.add(dense.narrow(axis, first - start, start + size - first), corner[0], corner[1])
    return mean.compute()


def _mirrored(predict: Predict, batch: Batch, images: Sequence[Tensor], flip: bool, pixels: int) -> Iterator[Tensor]:
    """Predictions of views, each averaged with that of its mirror image."""
    if not flip:
        yield from predict_each(predict, batch, images, pixels)
        return
    both = (view for image in images for view in (image, image.flip(-1)))
    found = predict_each(predict, batch, both, pixels)
    for plain, mirrored in zip(found, found, strict=True):
        yield (plain + mirrored.flip(-1)) / 2


def predict_probabilities(
    predict: Predict,
    batch: Batch,
    size: tuple[int, int],
    window: int | None = None,
    stride: int | None = None,
    ratios: Sequence[float] = (1.0,),
    flip: bool = False,
    pixels: int = 0,
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
        pixels: see `predict_each`.

    Returns:
        (B, K, H, W), summing to 1 over K.
    """
    total = batch.image.new_zeros(len(batch), 1, *size)
    for ratio in ratios:
        scaled = [max(1, round(side * ratio)) for side in batch.image.shape[-2:]]
        image = resize_bilinear(batch.image, scaled)
        images = [image, image.flip(-1)] if flip else [image]
        for i, logits in enumerate(_slide(predict, batch, images, window, stride or window, pixels)):
            probabilities = resize_bilinear(logits, size).float().softmax(1)
            total = total + (probabilities.flip(-1) if i else probabilities)
    return total / (len(ratios) * (2 if flip else 1))


def _slide(
    predict: Predict, batch: Batch, images: Sequence[Tensor], window: int | None, stride: int | None, pixels: int
) -> Iterator[Tensor]:
    """Logits of views of one size by windows; the last window of a row or column is moved back to the border."""
    height, width = images[0].shape[-2:]
    tall, wide = min(window or height, height), min(window or width, width)
    tops, lefts = _starts(height, tall, min(stride or tall, tall)), _starts(width, wide, min(stride or wide, wide))
    corners = list(itertools.product(tops, lefts))
    parts = (image[..., y : y + tall, x : x + wide] for image in images for y, x in corners)
    found = predict_each(predict, batch, parts, pixels)
    for _ in images:
        mean = _Mean(images[0])
        for top, left in corners:
            mean.add(next(found), top, left)
        yield mean.compute()


class _Mean:
    """The mean of predictions for parts of an image, at each pixel over the parts that cover it."""

    def __init__(self, image: Tensor) -> None:
        self.count = image.new_zeros(image.shape[-2:])
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
