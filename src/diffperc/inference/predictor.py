"""One image in, one result out, any size."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from diffperc.data.formats.images import read_image
from diffperc.errors import ConfigError
from diffperc.inference.pose import Pose, predict_pose
from diffperc.inference.sliding_window import predict_probabilities, predict_whole
from diffperc.models.outputs import class_ids
from diffperc.models.perception import PerceptionModel
from diffperc.protocols import PoseProtocol, SegmentationProtocol
from diffperc.types import Batch, DatasetInfo

Image = str | Path | NDArray[np.uint8]


class Predictor(ABC):
    """Predicts single images at the scale the network was trained at.

    Args:
        model: of the task.
        info: of the data set it was trained on.
    """

    options: ClassVar[tuple[str, ...]] = ("flip", "caption")

    def __init__(self, model: PerceptionModel, info: DatasetInfo) -> None:
        self.model, self.info = model.eval(), info

    @abstractmethod
    def __call__(self, image: Image) -> Any:
        """Predict one image: a file, or (H, W, 3) uint8 RGB.

        Raises:
            DataError: the file is no image.
        """

    def pixels(self, image: Image) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of what was given."""
        return image if isinstance(image, np.ndarray) else read_image(Path(image))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def batch(self, pixels: NDArray[np.uint8], caption: str | None = None) -> Batch:
        """The image as the network wants it: resized as in training; and a sentence about it, where there is one."""
        tensor = torch.from_numpy(pixels.copy()).to(self.device).permute(2, 0, 1)[None].float() / 255
        size, short = tensor.shape[-2:], self.info.short_side
        shape: Sequence[int] | None = self.info.input_size
        if shape is None and short is not None and min(size) != short:
            shape = [max(1, round(s * short / min(size))) for s in size]
        if shape is not None:
            tensor = F.interpolate(tensor, size=list(shape), mode="bilinear", antialias=True).clamp(0, 1)
        return Batch(tensor, caption=None if caption is None else (caption,))

    def dense(self, batch: Batch) -> Tensor:
        """The model's prediction."""
        return self.model(batch).dense


def _resized(dense: Tensor, pixels: NDArray[np.uint8]) -> Tensor:
    return F.interpolate(dense, size=pixels.shape[:2], mode="bilinear", align_corners=False)


class DepthPredictor(Predictor):
    """Metric depth."""

    options = ("flip", "scene", "caption")

    @torch.inference_mode()
    def __call__(
        self, image: Image, scene: str | None = None, flip: bool = False, caption: str | None = None
    ) -> NDArray[np.float32]:
        """Depth (H, W) float32 metres.

        Args:
            image: see `Predictor`.
            scene: its scene label, for strategies that read one; None is "unknown".
            flip: average with the mirror image.
            caption: a sentence about the image, for strategies that read one; None: as the strategy finds one.

        Raises:
            ConfigError: the scene label is not one of the data set's.
        """
        pixels = self.pixels(image)
        label = torch.tensor([self._scene(scene)], device=self.device)
        batch = dataclasses.replace(self.batch(pixels, caption), scene=label)
        dense = predict_whole(self.dense, batch, flip=flip)
        return _resized(dense, pixels)[0, 0].float().cpu().numpy()

    def _scene(self, name: str | None) -> int:
        if name is None:
            return -1
        if name not in self.info.scenes:
            raise ConfigError(
                f"scene: '{name}' is not a label of {self.info.name}; known: {', '.join(self.info.scenes)}"
            )
        return self.info.scenes.index(name)


class SegmentationPredictor(Predictor):
    """Semantic segmentation by the protocol the model was scored with."""

    @torch.inference_mode()
    def __call__(self, image: Image, flip: bool = False, caption: str | None = None) -> NDArray[np.uint8]:
        """Class ids (H, W) uint8; names are `info.classes`. `flip` averages with the mirror image.

        `caption` is a sentence about the image, for strategies that read one.
        """
        pixels = self.pixels(image)
        protocol = self.info.protocols["segmentation"]
        assert isinstance(protocol, SegmentationProtocol)
        protocol = dataclasses.replace(protocol, flip=protocol.flip or flip)
        size = (pixels.shape[0], pixels.shape[1])
        probabilities = predict_probabilities(self.dense, self.batch(pixels, caption), protocol, size)
        return class_ids(probabilities[0], 0).to(torch.uint8).cpu().numpy()


class ReferringPredictor(Predictor):
    """What an expression refers to."""

    options = ("expression", "caption")

    @torch.inference_mode()
    def __call__(self, image: Image, expression: str | None = None, caption: str | None = None) -> NDArray[np.bool_]:
        """Mask (H, W) bool of what the expression names, such as "the red cube".

        `caption` is a sentence about the whole image, for strategies that read one.

        Raises:
            ConfigError: no expression was given.
        """
        if expression is None or not expression.strip():
            raise ConfigError(
                'expression: this model finds what a sentence names; give one: expression="the red cube".'
            )
        pixels = self.pixels(image)
        batch = dataclasses.replace(self.batch(pixels, caption), expression=(expression.strip(),))
        return _resized(self.dense(batch), pixels)[0].argmax(0).bool().cpu().numpy()


class PosePredictor(Predictor):
    """Keypoints of persons."""

    options = ("boxes", "flip", "caption")

    @torch.inference_mode()
    def __call__(
        self,
        image: Image,
        boxes: Sequence[Sequence[float]] | None = None,
        flip: bool = True,
        caption: str | None = None,
    ) -> list[Pose]:
        """One `Pose` a box.

        Args:
            image: see `Predictor`.
            boxes: persons as (x, y, width, height) in pixels; None takes the whole image as one.
            flip: average with the mirror image.
            caption: a sentence about the image, for strategies that read one; the same for each person.

        Raises:
            ConfigError: a box is not four numbers with a positive width and height, or lies outside the image.
        """
        pixels = self.pixels(image)
        height, width = pixels.shape[:2]
        checked = (
            [(0.0, 0.0, float(width), float(height))] if boxes is None else [_box(b, width, height) for b in boxes]
        )
        protocol = self.info.protocols["pose"]
        assert isinstance(protocol, PoseProtocol)
        protocol = dataclasses.replace(protocol, flip=flip)
        return predict_pose(self.dense, pixels, checked, self.info, protocol, self.device, caption)


def _box(box: Sequence[float], width: int, height: int) -> tuple[float, float, float, float]:
    try:
        x, y, w, h = (float(v) for v in box)
    except (TypeError, ValueError):
        raise ConfigError(f"boxes: expected four numbers x, y, width, height in pixels, found {box}.") from None
    if w <= 0 or h <= 0 or x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise ConfigError(f"boxes: {list(box)} is empty or outside the image of {width}x{height} pixels.")
    return (x, y, w, h)
