"""The network: backbone, strategy, head and fit, without any framework around them."""

from __future__ import annotations

import dataclasses
import math

from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.encoders import ExpressionEncoder
from diffperc.heads import Head
from diffperc.models.fit import Fit
from diffperc.models.latent_cache import LatentCache, fingerprint
from diffperc.strategies import Strategy
from diffperc.types import Batch, Branch, Extra, Prediction


class PerceptionModel(nn.Module):
    """Predicts dense output at the size of the images, in the task's units, from a batch of images of any size.

    Args:
        backbone, strategy, head: the parts.
        fit: how images are fitted to the backbone's multiple, and features back.
        output: converts the head's raw output to units; for depth `BoundedDepth`.
        out_stride: pixels of the image per cell of the prediction; 1, or 4 for heatmaps.
        expression: encodes `Batch.expression`, for tasks with sentences.
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
        self._latents: tuple[LatentCache, bytes] | None = None
        backbone.train_only(strategy.trains)
        if expression is not None:
            expression.requires_grad_(False)

    def forward(self, batch: Batch) -> Prediction:
        """Predict; in training mode also the further branches and auxiliary outputs, each with the weight of its loss.

        Raises:
            ValueError: the model reads expressions and the batch has none.
        """
        if self.expression is not None and batch.expression_tokens is None:
            if batch.expression is None:
                raise ValueError("this model reads expressions; Batch.expression is missing")
            batch = dataclasses.replace(batch, expression_tokens=self.expression(batch.expression))
        image = self.fit.prepare(batch.image, self.backbone.multiple)
        latents = self._encode(image) * self.strategy.latent_scale
        size = (batch.image.shape[-2], batch.image.shape[-1])
        branches = self.strategy(self.backbone, latents, batch)
        first = self._read(branches[0], size)
        extras = list(first.extras)
        for branch in branches[1:]:
            other = self._read(branch, size)
            extras += [Extra(branch.name, branch.weight, other.dense), *other.extras]
        return Prediction(first.dense, first.weight, tuple(extras))

    def keep_latents(self, cache: LatentCache) -> None:
        """Let predictions encode an image that was seen before only once; training does not use it.

        Called before weights are arranged by `make_fast`, because it reads those of the encoder.
        """
        self._latents = cache, fingerprint(self.backbone.encoder)

    def _encode(self, image: Tensor) -> Tensor:
        if self._latents is None or self.training:
            return self.backbone.encode(image)
        cache, encoder = self._latents
        return cache(encoder, image, self.backbone.encode)

    def _read(self, branch: Branch, size: tuple[int, int]) -> Prediction:
        features = self.fit.restore(self.head.aggregate(branch.features), size)
        out_size = (math.ceil(size[0] / self.out_stride), math.ceil(size[1] / self.out_stride))

        def finished(dense: Tensor) -> Tensor:
            return self.output(self.fit.finish(dense, out_size, self.head.align_corners))

        auxiliaries = self.head.auxiliary(features) if self.training else ()
        extras = (Extra("auxiliary", branch.weight * a.weight, finished(a.dense), auxiliary=True) for a in auxiliaries)
        return Prediction(finished(self.head(features)), branch.weight, tuple(extras))


def parameter_counts(network: nn.Module) -> tuple[int, int]:
    """The numbers of trained parameters and of all."""
    counts = [(p.numel(), p.requires_grad) for p in network.parameters()]
    return sum(n for n, trained in counts if trained), sum(n for n, _ in counts)
