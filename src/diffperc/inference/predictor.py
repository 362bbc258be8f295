"""One image in, one result out, any size."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from diffperc.errors import CheckpointError, ConfigError, did_you_mean
from diffperc.inference.images import Image, images_of, picture
from diffperc.models import PerceptionModel
from diffperc.preprocessing import Preprocess, image_tensor
from diffperc.types import Batch, DatasetInfo, Picture, Protocol

_TEXTS = ("caption", "expression", "scene")


class Predictor(ABC):
    """Predicts single images exactly as evaluation does: the same preprocessing, windows, scales and mirror images.

    Args:
        model: of the task.
        info: of the data set it was trained on.
        protocol: by which it is evaluated.
        preprocess: with which it was trained.

    Attributes:
        options: keyword arguments of a call, which `predict` offers as keys.
        endings: of the files that `write` makes, behind the stem.
    """

    options: ClassVar[tuple[str, ...]] = ("flip", "caption")
    endings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: PerceptionModel, info: DatasetInfo, protocol: Any, preprocess: Preprocess) -> None:
        self.model, self.info, self.protocol, self.preprocess = model.eval(), info, protocol, preprocess

    @torch.inference_mode()
    def __call__(self, image: Image | Sequence[Image], *arguments: Any, **options: Any) -> Any:
        """Predict an image, or each of a list or a batch; see `predict` for the result and the options.

        Args:
            image: a file, an address, bytes, a Pillow image, an array or a tensor, see `inference.images.picture`; a list of
                these, or an array or tensor of four axes, gives a list of results.
            arguments, options: of `predict`.

        Raises:
            DataError: what was given is not an image.
            ConfigError: an option is unknown or has a value of another kind.
            CheckpointError: the network computes no numbers.
        """
        several = images_of(image)
        if several is not None:
            return [self(one, *arguments, **options) for one in several]
        self._check(dict(zip(self.options, arguments, strict=False)) | options)
        return self.predict(picture(image), *arguments, **options)

    @abstractmethod
    def predict(self, pixels: Picture) -> Any:
        """Predict (H, W, 3) uint8 RGB; a task adds its options, in the order of `options`."""

    def _check(self, options: Mapping[str, Any]) -> None:
        for name, value in options.items():
            if name not in self.options:
                raise ConfigError(f"{name}: this model has no such option{did_you_mean(name, self.options)}")
            if name in _TEXTS and not isinstance(value, str | None):
                raise ConfigError(f"{name}: must be a text, found {value!r}.")
            if name == "flip" and not isinstance(value, bool | None):
                raise ConfigError(f"flip: must be true, false or null, found {value!r}.")

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

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the model's weights."""
        return next(self.model.parameters()).dtype

    def batch(self, pixels: Picture, caption: str | None = None, scene: str | None = None) -> Batch:
        """The image as the network sees it, with its caption and its scene label if there are any.

        Raises:
            ConfigError: the data set has no such label.
        """
        tensor = image_tensor(self.preprocess.evaluation(pixels))[None].to(self.device, self.dtype)
        label = torch.tensor([self._scene_index(scene)], device=self.device)
        return Batch(tensor, scene=label, caption=None if caption is None else (caption,))

    def dense(self, batch: Batch) -> Tensor:
        """The model's prediction.

        Raises:
            CheckpointError: it is not a number somewhere, as of a model whose training diverged.
        """
        dense = self.model(batch).dense
        if not torch.isfinite(dense).all():
            raise CheckpointError(
                "the network's output is not a number: its weights are damaged, or its training diverged. Take an earlier "
                "checkpoint."
            )
        return dense

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
