"""Fitting an image of any size to a UNet that wants multiples of 64, and getting back."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from diffperc.types import Features

Size = tuple[int, int]


class Fit(ABC):
    """One object owns the way there and back, so that the two cannot disagree."""

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
    maps = tuple(
        change(m, (math.ceil(size[0] / s), math.ceil(size[1] / s)))
        for m, s in zip(features.maps, features.spec.strides, strict=True)
    )
    return dataclasses.replace(features, maps=maps)


def _resize(dense: Tensor, size: Size, align_corners: bool = False) -> Tensor:
    if dense.shape[-2:] == size:
        return dense
    return F.interpolate(dense, size=size, mode="bilinear", align_corners=align_corners)


def _crop(dense: Tensor, size: Size) -> Tensor:
    return dense[..., : size[0], : size[1]]


class PadFit(Fit):
    """Grey at the bottom and on the right; maps are cropped to ceil(size / stride).

    VPD's recipes: 480 padded to 512 with what is zero after normalisation, and the last row and column of the 16x16
    map dropped (methods.md 1.3).
    """

    def prepare(self, image: Tensor, multiple: int) -> Tensor:
        bottom, right = -image.shape[-2] % multiple, -image.shape[-1] % multiple
        return F.pad(image, (0, right, 0, bottom), value=0.5) if bottom or right else image

    def restore(self, features: Features, size: Size) -> Features:
        return _per_map(features, _crop, size)

    def finish(self, dense: Tensor, size: Size, align_corners: bool = False) -> Tensor:
        # a head that decodes to a coarser stride is first brought up, its last cell covering the padding
        ratio = max(1, math.ceil(size[0] / dense.shape[-2]), math.ceil(size[1] / dense.shape[-1]))
        larger = (dense.shape[-2] * ratio, dense.shape[-1] * ratio)
        return _crop(_resize(dense, larger, align_corners), size)


class ResizeFit(Fit):
    """Bilinear to the next multiple; maps are resized back.

    Meta prompts' recipes: ``(side // 64 + extra) * 64``, extra 1 for NYUv2 and 2 for KITTI (methods.md 2.1), so that
    even an exact multiple grows. With extra 0 a side is rounded up and an exact multiple stays.
    """

    def __init__(self, extra: int = 0) -> None:
        self.extra = extra

    def prepare(self, image: Tensor, multiple: int) -> Tensor:
        def side(pixels: int) -> int:
            return (pixels // multiple + self.extra if self.extra else math.ceil(pixels / multiple)) * multiple

        return _resize(image, (side(image.shape[-2]), side(image.shape[-1])))

    def restore(self, features: Features, size: Size) -> Features:
        return _per_map(features, _resize, size)

    def finish(self, dense: Tensor, size: Size, align_corners: bool = False) -> Tensor:
        return _resize(dense, size, align_corners)
