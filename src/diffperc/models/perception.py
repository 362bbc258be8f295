"""The network: backbone, strategy, head and fit, without any framework around them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.encoders import ExpressionEncoder
from diffperc.heads import Head
from diffperc.models.fit import Fit
from diffperc.models.latent_cache import LatentCache, fingerprint
from diffperc.models.observe import Observation, ObservedBackbone, token_groups
from diffperc.strategies import Strategy
from diffperc.types import Batch, Branch, Extra, Features, FeatureSpec, Prediction

_PIXELS_AT_ONCE = 2**18
"""One image of 512 x 512: small images are faster together, also on a CPU."""


class PerceptionModel(nn.Module):
    """Predicts dense output at the size of the images, in the task's units, from a batch of images of any size.

    Args:
        backbone: encodes images and extracts features.
        strategy: decides what conditions them.
        head: reads them.
        fit: how images are fitted to the backbone's multiple, and features back.
        output: converts the head's raw output to units; for depth `BoundedDepth`.
        out_stride: pixels of the image per cell of the prediction; 1, or 4 for heatmaps.
        expression: encodes `Batch.expression`, for tasks with sentences.

    Attributes:
        pixels_at_once: windows, scales and mirror images of at most so many pixels are predicted together.
    """

    def __init__(
        self,
        backbone: Backbone,
        strategy: Strategy,
        head: Head,
        fit: Fit,
        output: nn.Module,
        out_stride: int = 1,
        expression: ExpressionEncoder | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.strategy, self.head, self.fit, self.output = backbone, strategy, head, fit, output
        self.out_stride, self.expression = out_stride, expression
        self.pixels_at_once = _PIXELS_AT_ONCE
        self._kept: LatentCache | None = None
        self._stored: LatentCache | None = None
        self._encoder = b""
        backbone.train_only(strategy.trains)
        if expression is not None:
            expression.requires_grad_(False)

    def forward(self, batch: Batch) -> Prediction:
        """Predict; in training mode also the further branches and auxiliary outputs, each with the weight of its loss.

        Raises:
            ValueError: the model reads expressions and the batch has none.
        """
        batch, latents = self._prepared(batch)
        branches = self.strategy(self.backbone, latents, batch)
        first = self._read(branches[0], batch.size)
        extras = list(first.extras)
        for branch in branches[1:]:
            other = self._read(branch, batch.size)
            extras += [Extra(branch.name, branch.weight, other.dense), *other.extras]
        return Prediction(first.dense, first.weight, tuple(extras))

    def observe(self, batch: Batch, without: Collection[int] = ()) -> Observation:
        """Predict in evaluation mode, and keep what was computed on the way.

        Args:
            batch: the images.
            without: tokens that are made to say nothing, see `ObservedBackbone`.
        """
        return next(self.observe_each(batch, [without]))

    def observe_each(self, batch: Batch, left_out: Iterable[Collection[int]]) -> Iterator[Observation]:
        """See `observe`; for one set of tokens after the other, with images and sentences encoded once."""
        batch, latents = self._prepared(batch)
        for without in left_out:
            yield self._observed(batch, latents, without)

    def _observed(self, batch: Batch, latents: Tensor, without: Collection[int]) -> Observation:
        backbone = ObservedBackbone(self.backbone, without)
        branches = self.strategy.passes(cast(Backbone, backbone), latents, batch)
        words: tuple[str, ...] = ()
        if self.expression is not None and batch.expression is not None:
            words = self.expression.words(batch.expression[0])
        names = self.strategy.token_names(batch, words)
        dense = tuple(self._read(branch, batch.size).dense for branch in branches)
        return Observation(dense, tuple(branch.features for branch in branches), tuple(backbone.passes), names)

    def keep_latents(self, predicting: LatentCache | None = None, training: LatentCache | None = None) -> None:
        """Encode an image that was seen before only once.

        Called before weights are arranged by `make_fast`, because it reads those of the encoder.

        Args:
            predicting: used in evaluation mode.
            training: used in training mode.
        """
        self._kept, self._stored = predicting, training
        self._encoder = fingerprint(self.backbone.encoder)

    def _prepared(self, batch: Batch) -> tuple[Batch, Tensor]:
        """The batch with its expressions encoded, and the scaled latents of its images."""
        if self.expression is not None and batch.expression_tokens is None:
            if batch.expression is None:
                raise ValueError("this model reads expressions; Batch.expression is missing")
            batch = dataclasses.replace(batch, expression_tokens=self.expression(batch.expression))
        image = self.fit.prepare(batch.image, self.backbone.multiple)
        return batch, self._encode(image) * self.strategy.latent_scale

    def _encode(self, image: Tensor) -> Tensor:
        cache = self._stored if self.training else self._kept
        return self.backbone.encode(image) if cache is None else cache(self._encoder, image, self.backbone.encode)

    def _read(self, branch: Branch, size: tuple[int, int]) -> Prediction:
        features = self.fit.restore(self.head.aggregate(branch.features), size)
        out_size = (math.ceil(size[0] / self.out_stride), math.ceil(size[1] / self.out_stride))

        def finished(dense: Tensor) -> Tensor:
            return self.output(self.fit.finish(dense, out_size, self.head.align_corners))

        auxiliaries = self.head.auxiliary(features) if self.training else ()
        extras = (Extra("auxiliary", branch.weight * a.weight, finished(a.dense), auxiliary=True) for a in auxiliaries)
        return Prediction(finished(self.head(features)), branch.weight, tuple(extras))


def attention_by_name(
    model: PerceptionModel, batch: Batch, seen: Observation, index: int = -1
) -> dict[int, dict[str, NDArray[np.float32]]]:
    """Attention maps of the first image in one of the passes, see `Predictor.attention`."""
    maps = seen.passes[index].features.attention
    strides = tuple(sorted(maps))
    if not strides:
        return {}
    spec = FeatureSpec(tuple(maps[s].shape[1] for s in strides), strides)
    restored = model.fit.restore(Features(tuple(maps[s] for s in strides), spec), batch.size)
    groups = token_groups(seen.names)
    found: dict[int, dict[str, NDArray[np.float32]]] = {}
    for stride, attention in zip(strides, restored.maps, strict=True):
        each = attention[0].float().cpu().numpy()
        found[stride] = {name: each[tokens].sum(0) for name, tokens in groups.items()}
    return found


def parameter_counts(network: nn.Module) -> tuple[int, int]:
    """The numbers of trained parameters and of all."""
    counts = [(p.numel(), p.requires_grad) for p in network.parameters()]
    return sum(n for n, trained in counts if trained), sum(n for n, _ in counts)
