"""One image in, one result out, any size."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffperc.errors import CheckpointError, ConfigError, did_you_mean
from diffperc.inference.images import Image, images_of, picture
from diffperc.inference.sliding_window import Predict
from diffperc.models import Observation, PerceptionModel, attention_by_name
from diffperc.preprocessing import Preprocess, image_tensor
from diffperc.results.base import Result
from diffperc.types import Batch, DatasetInfo, Picture, Protocol
from diffperc.visualization.colours import Scale
from diffperc.visualization.images import image_of
from diffperc.visualization.maps import heat

_TEXTS = ("caption", "detector", "expression", "scene")


class Predictor(ABC):
    """Predicts single images exactly as evaluation does: the same preprocessing, windows, scales and mirror images.

    Args:
        model: of the task.
        info: of the data set it was trained on.
        protocol: by which it is evaluated.
        preprocess: with which it was trained.

    Attributes:
        options: keyword arguments of a call, which `predict` offers as keys.
        result: what a call returns.
        change_unit: of `change`.
        shared: the network as several threads call it, see `inference.batching`; None: each call runs it alone.
    """

    options: ClassVar[tuple[str, ...]] = ("flip", "caption")
    result: ClassVar[type[Result]]
    change_unit: ClassVar[str] = ""

    def __init__(self, model: PerceptionModel, info: DatasetInfo, protocol: Any, preprocess: Preprocess) -> None:
        self.model, self.info, self.protocol, self.preprocess = model.eval(), info, protocol, preprocess
        self.shared: Predict | None = None

    @torch.inference_mode()
    def __call__(self, image: Image | Sequence[Image], *arguments: Any, **options: Any) -> Any:
        """Predict an image, or each of a list or a batch; see `predict` for the result and the options.

        Args:
            image: a file, an address, bytes, a Pillow image, an array or a tensor, see `inference.images.picture`; a list of
                these, or an array or tensor of four axes, gives a list of results.
            arguments: of `predict`.
            options: of `predict`.

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

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the model's weights."""
        return next(self.model.parameters()).dtype

    @torch.inference_mode()
    def observe(self, image: Image, without: Collection[int] = (), **options: Any) -> tuple[Batch, Observation]:
        """The image as the network sees it, without windows or mirror images, and what it computes on its way.

        Args:
            image: one image, as for a call.
            without: tokens that are made to say nothing, see `ObservedBackbone`.
            options: of a call; those of averaging are not read.
        """
        self._check(options)
        batch = self.batch(picture(image), **options)
        return batch, self.model.observe(batch, without)

    def features(self, image: Image, **options: Any) -> dict[int, NDArray[np.float32]]:
        """The UNet's features in its last pass.

        Args:
            image: as for a call.
            options: as for a call.

        Returns:
            By stride in pixels of the image that the network sees, (C, h, w); empty for a strategy without a UNet.
        """
        batch, seen = self.observe(image, **options)
        if not seen.passes:
            return {}
        features = self.model.fit.restore(seen.passes[-1].features, batch.size)
        return dict(zip(features.spec.strides, (m[0].float().cpu().numpy() for m in features.maps), strict=True))

    def attention(self, image: Image, **options: Any) -> dict[int, dict[str, NDArray[np.float32]]]:
        """Where the image attends to each token in the UNet's last pass: probabilities, averaged over heads and layers.

        Args:
            image: as for a call.
            options: as for a call.

        Returns:
            By stride in pixels of the image that the network sees and by the name of the token, such as a class or a word
            of the expression, (h, w) in [0, 1]. Pieces of one word are added up; padding is left out.
        """
        batch, seen = self.observe(image, **options)
        return attention_by_name(self.model, batch, seen) if seen.passes else {}

    def batch(self, pixels: Picture, caption: str | None = None, scene: str | None = None, **options: Any) -> Batch:
        """The image as the network sees it, with its caption and its scene label if there are any.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            caption: see `predict`.
            scene: see `predict`.
            options: others of `predict`, which do not change what the network sees.

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
        dense = self.model(batch).dense if self.shared is None else self.shared(batch)
        if not torch.isfinite(dense).all():
            raise CheckpointError(
                "the network's output is not a number: its weights are damaged, or its training diverged. Take an earlier "
                "checkpoint."
            )
        return dense

    def finish(self, dense: Tensor) -> Tensor:
        """The network's output (B, K, h, w) as an exported model gives it; by default as it is."""
        return dense

    def draw(self, batch: Batch, dense: Tensor) -> Picture:
        """The network's output for the first image of a batch, at the image's size; by default its largest channel.

        Args:
            batch: see `batch`.
            dense: (B, K, h, w), see `Prediction.dense`.
        """
        values = dense[0].amax(0).float().cpu().numpy()
        return heat(image_of(batch, 0), values, Scale(float(values.min()), float(values.max())))

    def change(self, dense: Tensor, other: Tensor) -> Tensor:
        """How much two outputs of the network (B, K, h, w) differ, (B, h, w) in `change_unit`; by default as they are."""
        return (dense - other).abs().amax(1)

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
