"""The protocol of a strategy, and small functions that most strategies call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.encoders import ExpressionEncoder
from diffperc.types import Batch, Branch, FeatureSpec, TextSpec


class Strategy(nn.Module, ABC):
    """Owns the loop over the backbone: which tokens, which timestep, how many passes, which maps the head gets.

    The constructor gets the backbone for its widths and the task's text for its names, and allocates all tensors.
    `initialise` fills in those that come from pretrained encoders; it is not called when a checkpoint is loaded.

    Attributes:
        out_spec: channels and strides of the features that `forward` returns.
        latent_scale: factor on the latents; 1 in VPD and Meta Prompts (methods.md 0.2).
        supplied: arguments that come from the program and not from a configuration.
    """

    supplied: ClassVar[tuple[str, ...]] = ("backbone", "text")
    out_spec: FeatureSpec
    latent_scale: float = 1.0

    @property
    @abstractmethod
    def trains(self) -> tuple[str, ...]:
        """Names of the backbone parts (`Backbone.parts`) that are trained; the others are frozen."""

    def initialise(self, backbone: Backbone) -> None:
        """Fill in what comes from pretrained encoders; by default nothing."""

    @property
    def caption_encoder(self) -> ExpressionEncoder | None:
        """What encodes `Batch.caption`, for strategies that read it; by default none."""
        return None

    def token_names(self, batch: Batch, words: Sequence[str]) -> tuple[str, ...]:
        """Names of the tokens that condition the UNet, in their order, for pictures; by default there are none.

        Args:
            batch: one image.
            words: of its expression, one for each of `Batch.expression_tokens`.

        Returns:
            One name per token; empty for padding.
        """
        return ()

    def passes(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """What `forward` would predict if it ended after its first pass, its second and so on; by default there is one."""
        return self.forward(backbone, latents, batch)[:1]

    @abstractmethod
    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """Latents (B, 4, h, w) and their batch to branches; the first predicts, the others exist in training only."""


def constant_timestep(latents: Tensor, timestep: int) -> Tensor:
    """(B,) timesteps, on the device of the latents."""
    return torch.full((latents.shape[0],), timestep, device=latents.device)


def with_expression(tokens: Tensor, batch: Batch) -> Tensor:
    """Tokens (B, N, D), followed by those of the expression where the batch has one: (B, N + T, D)."""
    if batch.expression_tokens is None:
        return tokens
    return torch.cat([tokens, batch.expression_tokens.to(tokens.dtype)], 1)


def expression_length(text: TextSpec) -> int:
    """T, the number of tokens that `with_expression` appends."""
    return text.length if text.kind == "expression" else 0
