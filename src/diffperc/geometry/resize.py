"""Resizing of images for evaluation and prediction."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from diffperc.errors import ConfigError, did_you_mean
from diffperc.geometry.person_crop import PersonCrop
from diffperc.ranges import Count
from diffperc.types import Picture

_OPENCV = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA, "nearest": cv2.INTER_NEAREST}
INTERPOLATIONS = (*_OPENCV, "antialiased")


class Resize:
    """Resizes images to `size`, or else to `short_side`.

    Args:
        short_side, size, interpolation, max_side: see `Preprocess`.

    Attributes:
        person_crop: cuts persons out instead, where samples are persons.

    Raises:
        ConfigError: a size is not positive, or the interpolation is unknown.
    """

    person_crop: PersonCrop | None = None

    def __init__(
        self,
        short_side: Count | Sequence[Count] | None = None,
        size: Sequence[Count] | None = None,
        interpolation: str = "linear",
        max_side: Count | None = 4096,
    ) -> None:
        if interpolation not in INTERPOLATIONS:
            raise ConfigError(
                f"preprocessing.interpolation: there is no '{interpolation}'{did_you_mean(interpolation, INTERPOLATIONS)}"
            )
        self.short_side = short_side if isinstance(short_side, int | None) else min(short_side)
        for key, side in (("short_side", self.short_side), ("size", min(size or [1]))):
            if side is not None and side < 1:
                raise ConfigError(f"preprocessing.{key}: must be at least 1 pixel, found {side}.")
        if size is not None and len(size) != 2:
            raise ConfigError(f"preprocessing.size: must be (height, width), found {list(size)}.")
        if size is not None and short_side is not None:
            raise ConfigError(
                f"preprocessing: size={list(size)} sets both sides, so that short_side={short_side} is not read; set one of "
                "them to null."
            )
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self.interpolation, self.max_side = interpolation, max_side

    def evaluation(self, image: Picture) -> Picture:
        """An image (H, W, 3) uint8 at the size at which it is evaluated and predicted."""
        return self.resized(image, self.evaluation_size(image.shape[0], image.shape[1])[0])

    def evaluation_size(self, height: int, width: int) -> tuple[tuple[int, int], bool]:
        """(H, W) at which an image of a size is evaluated and predicted, and whether `max_side` made it smaller."""
        if self.size is not None:
            return self.size, False
        scale = 1.0 if self.short_side is None else self.short_side / min(height, width)
        bounded = self.max_side is not None and round(max(height, width) * scale) > self.max_side
        if bounded and self.max_side is not None:
            scale = self.max_side / max(height, width)
        return (max(1, round(height * scale)), max(1, round(width * scale))), bounded

    def resized(self, image: Picture, size: tuple[int, int]) -> Picture:
        """An image (H, W, 3) uint8 at another size (H, W)."""
        if image.shape[:2] == size:
            return image
        if self.interpolation == "antialiased":
            return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        resized: Picture = cv2.resize(image, size[::-1], interpolation=_OPENCV[self.interpolation])
        return resized
