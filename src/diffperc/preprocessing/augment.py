"""Augmentation of the published recipes that albumentations does not have (methods.md 1.1, 1.3, 2.1, 2.2).

All random numbers come from the generator that `Compose.set_random_seed` gives to each transform. Ground truth is treated
like a mask: it is never interpolated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from diffperc.ranges import Count, NotNegative, Positive, Share, WholeNumber

_Pixels = NDArray[Any]
_Image = NDArray[np.uint8]


class RandomRatioResize(A.DualTransform):
    """Resize an image, keeping its aspect ratio, to fit into a frame that is scaled by a random ratio (methods.md 1.1).

    With r drawn uniformly between `ratios`, the sides are multiplied by min(r L / long side, r S / short side). The result
    does not depend on the image's size, only on its aspect ratio.

    Args:
        size: (L, S) pixels, the largest long and short side at ratio 1.
        ratios: the smallest and the largest r.
    """

    def __init__(self, size: Sequence[Count] = (2048, 512), ratios: Sequence[Positive] = (0.5, 2.0)) -> None:
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
    """A random crop that is drawn again while one class covers too much of it (methods.md 1.1).

    A crop without any counted pixel is drawn again as well. An image that is smaller than the crop is not cropped along its
    short axis; pad it afterwards.

    Args:
        height: pixels of the crop.
        width: pixels of the crop.
        max_share: the largest share of the counted pixels that one class may have.
        ignore: the id that is not counted.
        tries: the largest number of crops drawn; the last one is used whatever it shows.
    """

    def __init__(
        self, height: Count, width: Count, max_share: Share = 0.75, ignore: int = 255, tries: Count = 10
    ) -> None:
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

    Contrast is changed before saturation and hue or after them, with equal probability. The result of each step is rounded
    to whole numbers from 0 to 255. All numbers are drawn from uniform distributions.

    Args:
        brightness: the largest number that is added or subtracted.
        contrast: the smallest and the largest factor.
        saturation: the smallest and the largest factor on HSV's S.
        hue: the largest shift of HSV's H, in OpenCV's steps of two degrees (180 make a full turn).
    """

    def __init__(
        self,
        brightness: NotNegative = 32,
        contrast: Sequence[NotNegative] = (0.5, 1.5),
        saturation: Sequence[NotNegative] = (0.5, 1.5),
        hue: WholeNumber = 18,
    ) -> None:
        super().__init__(p=1.0)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue

    def get_params(self) -> dict[str, Any]:
        draw = self.py_random
        return {
            "brightness": self._sometimes(draw.uniform, -self.brightness, self.brightness),
            "contrast": self._sometimes(draw.uniform, *self.contrast),
            "contrast_first": self._coin(),
            "saturation": self._sometimes(draw.uniform, *self.saturation),
            "hue": self._sometimes(draw.randint, -self.hue, self.hue),
        }

    def _coin(self) -> bool:
        return bool(self.py_random.random() < 0.5)

    def _sometimes(self, draw: Callable[[Any, Any], float], low: float, high: float) -> float | None:
        """A number that `draw` draws between two bounds, or None with probability one half."""
        if not self._coin():
            return None
        return draw(low, high)

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
        factor = 1.0 if contrast is None else contrast
        before, after = (factor, 1.0) if contrast_first else (1.0, factor)
        img = _linear(img, 1.0, brightness or 0.0)
        img = _linear(img, before)
        if saturation is not None or hue is not None:
            img = _recoloured(img, 1.0 if saturation is None else saturation, hue or 0)
        return _linear(img, after)


def _recoloured(img: _Image, saturation: float, hue: int) -> _Image:
    hsv = cv2.cvtColor(img, cv2.COLOR_RGB2HSV)
    hues = (np.arange(256) + hue) % 180
    hsv[..., 0] = hues.astype(np.uint8)[hsv[..., 0]]
    hsv[..., 1] = _linear(hsv[..., 1], saturation)
    recoloured: _Image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return recoloured


def _linear(values: _Image, factor: float, offset: float = 0.0) -> _Image:
    """factor v + offset, rounded and clipped; computed by a table, because there are only 256 values."""
    if factor == 1 and offset == 0:
        return values
    return np.clip(np.rint(np.arange(256) * factor + offset), 0, 255).astype(np.uint8)[values]


class VerticalCutDepth(A.ImageOnlyTransform):
    """Paste a strip of the depth map, over the whole height, into the image (methods.md 1.3, 10.6).

    With a and b drawn uniformly from [0, 1), the strip begins at column a W and is (1 - a) W b `share` pixels wide, at least
    one pixel. The depth is written to all three colour channels.

    The released training does this to every fourth image that a worker reads; here each image is chosen with probability
    `p`, so that it depends only on its own seed.

    Args:
        share: the largest share that the strip may cover of what is to the right of its first column.
        p: probability.
        wrap: paste the depth in counts modulo 256, as the released training does when it writes counts into bytes; False:
            paste it scaled so that the image's largest depth is 255.
        scale: counts per metre, 1000 for NYUv2, 256 for KITTI.
    """

    def __init__(self, share: Share = 0.75, p: Share = 0.25, wrap: bool = True, scale: Positive = 1000.0) -> None:
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
