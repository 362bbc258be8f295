"""Augmentation of the published recipes that albumentations does not have (methods.md 1.1, 1.3, 2.1, 2.2).

What is drawn comes from the generator that `Compose.set_random_seed` hands to each transform. Masks, and depth and referent
which go the way of a mask, are never interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

_Pixels = NDArray[Any]
_Image = NDArray[np.uint8]


class RandomRatioResize(A.DualTransform):
    """Resize, with the aspect kept, to fit into a frame that is itself scaled by a random ratio (methods.md 1.1).

    With r drawn evenly from `ratios`, the sides are multiplied by min(r L / long side, r S / short side). The result does
    not depend on the image's size, only on its shape.

    Args:
        size: (L, S) pixels, what the long and the short side may be at ratio 1.
        ratios: the least and the largest r.
    """

    def __init__(self, size: Sequence[int] = (2048, 512), ratios: Sequence[float] = (0.5, 2.0)) -> None:
        super().__init__(p=1.0)
        self.size = size
        self.ratios = ratios

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        height, width = params["shape"][:2]
        ratio = self.py_random.uniform(*self.ratios)
        long, short = self.size
        scale = ratio * min(long / max(height, width), short / min(height, width))
        return {"height": max(1, int(height * scale + 0.5)), "width": max(1, int(width * scale + 0.5))}

    def apply(self, img: _Pixels, height: int, width: int, **params: Any) -> _Pixels:
        return cv2.resize(img, (width, height), interpolation=cv2.INTER_LINEAR)

    def apply_to_mask(self, mask: _Pixels, height: int, width: int, **params: Any) -> _Pixels:
        return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)


class ClassLimitedCrop(A.DualTransform):
    """A random crop that is drawn again while one class fills too much of it (methods.md 1.1).

    A crop without any counted pixel is drawn again as well. Of an image smaller than the crop there is what there is; pad it
    afterwards.

    Args:
        height, width: pixels of the crop.
        max_share: of the counted pixels, the most that may be of one class.
        ignore: the id that is not counted.
        tries: how many crops are drawn at most; the last one is taken as it is.
    """

    def __init__(self, height: int, width: int, max_share: float = 0.75, ignore: int = 255, tries: int = 10) -> None:
        super().__init__(p=1.0)
        self.height = height
        self.width = width
        self.max_share = max_share
        self.ignore = ignore
        self.tries = tries

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        mask = data.get("mask")
        if mask is None:
            raise ValueError("ClassLimitedCrop looks at class masks, and these samples have none; use RandomCrop.")
        height, width = min(self.height, mask.shape[0]), min(self.width, mask.shape[1])
        for _ in range(self.tries):
            top = self.py_random.randint(0, mask.shape[0] - height)
            left = self.py_random.randint(0, mask.shape[1] - width)
            window = (slice(top, top + height), slice(left, left + width))
            pixels = np.bincount(mask[window].reshape(-1), minlength=self.ignore + 1)
            pixels[self.ignore] = 0
            if 0 < pixels.max() <= self.max_share * pixels.sum():
                break
        return {"window": window}

    def apply(self, img: _Pixels, window: tuple[slice, slice], **params: Any) -> _Pixels:
        return img[window]


class PhotometricDistortion(A.ImageOnlyTransform):
    """Brightness, contrast, saturation and hue, each changed with probability one half (methods.md 1.1).

    Contrast comes before saturation and hue or after them, by the toss of a coin. Each step ends in whole numbers of 0 to
    255. All numbers are drawn evenly.

    Args:
        brightness: the most that is added or subtracted.
        contrast: the least and the largest factor.
        saturation: the least and the largest factor of HSV's S.
        hue: the most that HSV's H is turned by, in OpenCV's steps of two degrees (180 a turn).
    """

    def __init__(
        self,
        brightness: float = 32,
        contrast: Sequence[float] = (0.5, 1.5),
        saturation: Sequence[float] = (0.5, 1.5),
        hue: int = 18,
    ) -> None:
        super().__init__(p=1.0)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue

    def get_params(self) -> dict[str, Any]:
        draw = self.py_random
        return {
            "brightness": draw.uniform(-self.brightness, self.brightness) if self._coin() else None,
            "contrast": draw.uniform(*self.contrast) if self._coin() else None,
            "contrast_first": self._coin(),
            "saturation": draw.uniform(*self.saturation) if self._coin() else None,
            "hue": draw.randint(-self.hue, self.hue) if self._coin() else None,
        }

    def _coin(self) -> bool:
        return bool(self.py_random.random() < 0.5)

    def apply(
        self,
        img: _Image,
        brightness: float | None,
        contrast: float | None,
        contrast_first: bool,
        saturation: float | None,
        hue: int | None,
        **params: Any,
    ) -> _Image:
        if brightness is not None:
            img = _linear(img, 1.0, brightness)
        if contrast is not None and contrast_first:
            img = _linear(img, contrast)
        if saturation is not None or hue is not None:
            hsv = cv2.cvtColor(img, cv2.COLOR_RGB2HSV)
            if saturation is not None:
                hsv[..., 1] = _linear(hsv[..., 1], saturation)
            if hue is not None:
                hsv[..., 0] = ((np.arange(256) + hue) % 180).astype(np.uint8)[hsv[..., 0]]
            img = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        if contrast is not None and not contrast_first:
            img = _linear(img, contrast)
        return img


def _linear(values: _Image, factor: float, offset: float = 0.0) -> _Image:
    """factor v + offset, rounded and clipped; by a table, as there are but 256 values."""
    return np.clip(np.rint(np.arange(256) * factor + offset), 0, 255).astype(np.uint8)[values]


class VerticalCutDepth(A.ImageOnlyTransform):
    """Paste a strip of the depth map, over the whole height, into the image (methods.md 1.3, 10.6).

    With a and b drawn evenly from [0, 1) the strip begins at column a W and is (1 - a) W b `share` wide, at least one pixel.
    All three colours get the depth.

    The released training does so with every fourth image a worker reads; here it is a random fourth of them, so that an
    image depends on its own seed alone.

    Args:
        share: of what is right of the strip's beginning, the most it may cover.
        p: probability.
        wrap: paste the depth in counts modulo 256, as the released training does when it writes counts into bytes; False:
            paste it scaled so that the image's largest depth is 255.
        scale: counts a metre, 1000 for NYUv2, 256 for KITTI.
    """

    def __init__(self, share: float = 0.75, p: float = 0.25, wrap: bool = True, scale: float = 1000.0) -> None:
        super().__init__(p=p)
        self.share = share
        self.wrap = wrap
        self.scale = scale

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        depth = data.get("depth")
        if depth is None:
            raise ValueError("VerticalCutDepth pastes depth into the image, and these samples have none; leave it out.")
        width = depth.shape[1]
        alpha, beta = self.py_random.random(), self.py_random.random()
        left = int(alpha * width)
        columns = slice(left, left + int(max((width - alpha * width) * beta * self.share, 1)))
        # counts are whole numbers in the files, and metres are not
        values = np.rint(depth * self.scale) % 256 if self.wrap else depth * (255 / max(depth.max(), 1e-6))
        return {"columns": columns, "values": values[:, columns].astype(np.uint8)}

    def apply(self, img: _Image, columns: slice, values: _Image, **params: Any) -> _Image:
        img = img.copy()
        img[:, columns] = values[..., None]
        return img
