"""From an image as stored to the image that the network sees: one object for training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from diffperc.errors import ConfigError
from diffperc.geometry.person_crop import PersonCrop
from diffperc.geometry.resize import Resize
from diffperc.ranges import Count
from diffperc.types import DenseTarget, Picture, Target

_PLACES = "places"
_FEW = 0.05


class Preprocess(Resize):
    """Resizing, the crop of a person, and augmentation. A checkpoint carries its configuration.

    Evaluation and prediction resize the image to `size`, or else to `short_side`; the ground truth keeps its own size, so
    that the score is that of the protocol. Training resizes image and ground truth to `size`, then applies `augment`, whose
    random scales and crops set the size where there is no `size`. Persons are cut out by `person_crop` in all three.

    Args:
        short_side: pixels of the shorter side after resizing, which keeps the aspect ratio; of (H, W) the smaller one; None:
            images are not resized.
        size: (H, W) pixels, to which images are resized whatever their shape.
        interpolation: of images: ``linear``, ``cubic``, ``area``, ``nearest`` (OpenCV's), or ``antialiased`` (Pillow's
            bilinear filter, which averages over what a shrunk pixel covers). Ground truth is never interpolated.
        crop: pixels, the side of training crops, to which entries of `augment` refer.
        max_side: pixels of the longer side after resizing, in evaluation and prediction; a larger image is reduced, which
            bounds the memory that a very large or a very elongated one takes; None: no bound.
        person_crop: cuts persons out, where samples are persons.
        augment: albumentations transforms for training, in order.

    Raises:
        ConfigError: a size is not positive, or the interpolation is unknown.
    """

    def __init__(
        self,
        short_side: Count | Sequence[Count] | None = None,
        size: tuple[Count, Count] | None = None,
        interpolation: str = "linear",
        crop: Count | None = None,
        max_side: Count | None = 4096,
        person_crop: PersonCrop | None = None,
        augment: Sequence[Any] = (),
    ) -> None:
        super().__init__(short_side, size, interpolation, max_side)
        if crop is not None and crop < 1:
            raise ConfigError(f"preprocessing.crop: must be at least 1 pixel, found {crop}.")
        self.crop = crop
        self.person_crop, self.augment = person_crop, tuple(augment)

    @classmethod
    def not_read(cls, target: Target) -> tuple[str, ...]:
        """Options of the constructor that have no meaning for a kind of ground truth."""
        return ("short_side", "size", "interpolation", "crop", "max_side") if target.sample == "person" else ()

    def check(self, target: Target) -> None:
        """Check that everything here has a meaning for a kind of ground truth.

        Raises:
            ConfigError: persons are not cut out, or something is given that would not be read.
        """
        if target.sample == "person":
            if self.person_crop is None:
                raise ConfigError(
                    f"preprocessing.person_crop: the target '{target.name}' is about single persons, which must be cut out; "
                    "see conf/preprocessing/pose.yaml."
                )
            if self.augment:
                raise ConfigError(
                    "preprocessing.augment: is not read for persons; preprocessing.person_crop augments them."
                )
        elif self.person_crop is not None:
            raise ConfigError(
                f"preprocessing.person_crop: is not read for the target '{target.name}', whose images are not cut out; set "
                "preprocessing.person_crop=null."
            )
        if isinstance(target, DenseTarget):
            for transform in self.augment:
                _check_padding(transform, target)

    def resized_target(self, values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """Ground truth (H, W) or (H, W, C) at another size, by the exact nearest neighbour.

        OpenCV's other nearest neighbour moves ground truth by up to half a pixel against its image.
        """
        if values.shape[:2] == size:
            return values
        resized: NDArray[Any] = cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return resized

    def augmentation(self, target: DenseTarget) -> Augmentation:
        """What training applies after resizing, to images and ground truth of that kind."""
        return Augmentation(self.augment, target)


class Augmentation:
    """Albumentations transforms of an image together with its ground truth.

    Args:
        transforms: in order.
        target: the kind of ground truth; its arrays are treated like masks: nearest neighbour, never recoloured.
    """

    def __init__(self, transforms: Sequence[Any], target: DenseTarget) -> None:
        self._target = target
        masks = {name: "mask" for name in (target.name, _PLACES) if name != "mask"}
        self._compose = A.Compose(
            list(transforms), additional_targets=masks, mask_interpolation=cv2.INTER_NEAREST_EXACT
        )

    def __call__(self, image: Picture, values: NDArray[Any], seed: int) -> tuple[Picture, NDArray[Any]]:
        """Image (H, W, 3) and ground truth (H, W) or (H, W, C), changed together; all randomness comes from `seed`."""
        name, turns = self._target.name, self._target.turns
        arrays: dict[str, Any] = {"image": image, name: values}
        if turns:
            arrays[_PLACES] = np.moveaxis(np.indices(image.shape[:2], np.float32), 0, -1).copy()
        self._compose.set_random_seed(seed)
        changed = self._compose(**arrays)
        found = changed[name]
        if turns and self._is_mirrored(changed[_PLACES]):
            found = self._target.mirrored(found)
        return changed["image"], found

    def _is_mirrored(self, places: NDArray[np.float32]) -> bool:
        """Whether columns were reversed.

        Args:
            places: (H, W, 2) row and column of the stored image from which each pixel came.

        Raises:
            ConfigError: the image was turned upside down, on its side, or by an angle.
        """
        down, right = np.diff(places, axis=0), np.diff(places, axis=1)
        # what was padded leaves a few steps at its borders
        upright = _grows(down[..., 0]) and not _changes(right[..., 0]) and not _changes(down[..., 1])
        if not upright:
            raise ConfigError(
                f"preprocessing.augment: turns images, and the vectors of the target '{self._target.name}' would have to "
                "turn with them; leave out rotations, transpositions and vertical flips. Mirroring, scaling and cropping "
                "are fine."
            )
        return not _grows(right[..., 1])


def _check_padding(transform: Any, target: DenseTarget) -> None:
    """Refuse a transform that pads ground truth with a value that counts; albumentations' default is 0."""
    fill = getattr(transform, "fill_mask", None)
    pads = getattr(transform, "pad_if_needed", True) and getattr(transform, "border_mode", 0) == cv2.BORDER_CONSTANT
    if fill is not None and pads and np.any(np.asarray(fill) != target.padding):
        raise ConfigError(
            f"preprocessing.augment: {type(transform).__name__} pads the target '{target.name}' with {fill}, which counts; "
            f"set its fill_mask={target.padding}."
        )


def _grows(steps: NDArray[np.float32]) -> bool:
    return int((steps > 0).sum()) >= int((steps < 0).sum())


def _changes(steps: NDArray[np.float32]) -> bool:
    """Whether more than a few of them are not zero."""
    return float((steps != 0).mean()) > _FEW
