"""One image in, one result out, any size."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from torch import Tensor

from diffperc.data.formats.images import read_image, rgb
from diffperc.errors import ConfigError, DataError
from diffperc.models import PerceptionModel
from diffperc.preprocessing import Preprocess, image_tensor
from diffperc.types import Batch, DatasetInfo, Picture, Protocol

Image = str | Path | PILImage.Image | NDArray[np.uint8]


class Predictor(ABC):
    """Predicts single images exactly as evaluation does: the same preprocessing, windows, scales and mirror images.

    Args:
        model: of the task.
        info: of the data set it was trained on.
        protocol: by which it is evaluated.
        preprocess: with which it was trained.

    Attributes:
        options: keyword arguments of a call, which `predict` offers as keys.
    """

    options: ClassVar[tuple[str, ...]] = ("flip", "caption")

    def __init__(self, model: PerceptionModel, info: DatasetInfo, protocol: Any, preprocess: Preprocess) -> None:
        self.model, self.info, self.protocol, self.preprocess = model.eval(), info, protocol, preprocess

    @abstractmethod
    def __call__(self, image: Image) -> Any:
        """Predict one image: a file, a Pillow image, or (H, W, 3) uint8 RGB.

        Raises:
            DataError: the file is not an image, or the array has another shape or dtype.
        """

    @abstractmethod
    def write(self, stem: Path, image: Picture, result: Any, given: Mapping[str, Any] | None = None) -> str:
        """Write a result to files that begin with `stem`.

        Args:
            stem: path without ending.
            image: (H, W, 3) that was predicted.
            result: what the call returned.
            given: the options of the call, such as its expression.

        Returns:
            What was found and the names of the files, for a message.
        """

    def pixels(self, image: Image) -> Picture:
        """(H, W, 3) uint8 RGB of what was given.

        Raises:
            DataError: see `__call__`.
        """
        if isinstance(image, str | Path):
            return read_image(Path(image))
        if isinstance(image, PILImage.Image):
            return rgb(image, "image")
        found = type(image).__name__
        if isinstance(image, np.ndarray):
            found = f"{image.dtype} {image.shape}"
            if image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size:
                return image
        raise DataError(
            f"image: must be a file, a Pillow image, or an array (H, W, 3) uint8 RGB, found {found}. Convert it, for "
            "example floats in [0, 1] by (image * 255).round().astype('uint8')."
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def batch(self, pixels: Picture, caption: str | None = None, scene: str | None = None) -> Batch:
        """The image as the network sees it, with its caption and its scene label if there are any.

        Raises:
            ConfigError: the data set has no such label.
        """
        tensor = image_tensor(self.preprocess.evaluation(pixels))[None].to(self.device)
        label = torch.tensor([self._scene_index(scene)], device=self.device)
        return Batch(tensor, scene=label, caption=None if caption is None else (caption,))

    def dense(self, batch: Batch) -> Tensor:
        """The model's prediction."""
        return self.model(batch).dense

    def _scene_index(self, name: str | None) -> int:
        """The index of a scene label; -1 for None, unknown."""
        if name is None:
            return -1
        if name not in self.info.scenes:
            known = ", ".join(self.info.scenes)
            raise ConfigError(f"scene: '{name}' is not a label of {self.info.name}; known: {known}")
        return self.info.scenes.index(name)

    def protocol_with(self, flip: bool | None) -> Any:
        """The protocol, with `flip` replaced unless it is None."""
        protocol: Protocol = self.protocol
        return protocol if flip is None else dataclasses.replace(protocol, flip=flip)
