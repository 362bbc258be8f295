"""Fitting images of any size to a UNet whose input sides are multiples of 64, and its maps back to the image."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from diffperc.layers.resize import resize_bilinear
from diffperc.ranges import Share, WholeNumber
from diffperc.types import Features

Size = tuple[int, int]


class Fit(ABC):
    """Both directions in one object, so that they cannot disagree."""

    @abstractmethod
    def prepare(self, image: Tensor, multiple: int) -> Tensor:
        """(B, 3, H, W) in [0, 1] to an image whose sides are multiples of `multiple`."""

    @abstractmethod
    def restore(self, features: Features, size: Size) -> Features:
        """Feature maps of the prepared image to maps of ceil(size / stride), which the head decodes."""

    @abstractmethod
    def finish(self, dense: Tensor, size: Size, align_corners: bool = False) -> Tensor:
        """The head's output (B, K, h, w) to the size of the image."""


def _per_map(features: Features, change: Callable[[Tensor, Size], Tensor], size: Size) -> Features:
    """Apply `change` to each map, with the size ceil(size / stride) that it is to have."""
    maps = []
    for feature, stride in zip(features.maps, features.spec.strides, strict=True):
        maps.append(change(feature, (math.ceil(size[0] / stride), math.ceil(size[1] / stride))))
    return dataclasses.replace(features, maps=tuple(maps))


def _crop(dense: Tensor, size: Size) -> Tensor:
    return dense[..., : size[0], : size[1]]


class PadFit(Fit):
    """Grey at the bottom and on the right; maps are cropped to ceil(size / stride).

    VPD's recipes: 480 is padded to 512 with the value that normalisation maps to zero, and the last row and column of
    the 16x16 map are dropped (methods.md 1.3).

    Args:
        value: of the padding, from 0 (black), as in the first version of ECoDepth, to 1; 0.5 is VPD's grey.
    """

    def __init__(self, value: Share = 0.5) -> None:
        self.value = value

    def prepare(self, image: Tensor, multiple: int) -> Tensor:
        bottom, right = -image.shape[-2] % multiple, -image.shape[-1] % multiple
        return F.pad(image, (0, right, 0, bottom), value=self.value)

    def restore(self, features: Features, size: Size) -> Features:
        return _per_map(features, _crop, size)

    def finish(self, dense: Tensor, size: Size, align_corners: bool = False) -> Tensor:
        # the output of a coarser stride is upsampled first; its last cell covers the padding
        ratio = max(1, math.ceil(size[0] / dense.shape[-2]), math.ceil(size[1] / dense.shape[-1]))
        larger = (dense.shape[-2] * ratio, dense.shape[-1] * ratio)
        return _crop(resize_bilinear(dense, larger, align_corners), size)


class ResizeFit(Fit):
    """Bilinear to the next multiple; maps are resized back.

    The recipes of Meta Prompts: ``(side // 64 + extra) * 64``, extra 1 for NYUv2 and 2 for KITTI (methods.md 2.1), so
    that even an exact multiple grows. With extra 0 a side is rounded up and an exact multiple stays.

    Args:
        extra: number of multiples that are added to each side after rounding down; 0 rounds up instead.
    """

    def __init__(self, extra: WholeNumber = 0) -> None:
        self.extra = extra

    def prepare(self, image: Tensor, multiple: int) -> Tensor:
        height, width = image.shape[-2:]
        return resize_bilinear(image, (self._side(height, multiple), self._side(width, multiple)))

    def _side(self, pixels: int, multiple: int) -> int:
        if self.extra:
            return (pixels // multiple + self.extra) * multiple
        return math.ceil(pixels / multiple) * multiple

    def restore(self, features: Features, size: Size) -> Features:
        return _per_map(features, resize_bilinear, size)

    def finish(self, dense: Tensor, size: Size, align_corners: bool = False) -> Tensor:
        return resize_bilinear(dense, size, align_corners)
