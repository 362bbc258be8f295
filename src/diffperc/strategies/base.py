"""The protocol of a strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.types import Batch, Branch, FeatureSpec, TextSpec


class Strategy(nn.Module, ABC):
    """Owns the loop over the backbone: which tokens, which time, how many passes, which maps the head gets.

    The constructor takes the backbone for its widths and the task's text for its names, and allocates; what comes from
    pretrained encoders is filled in by `initialise`, which is not called when a checkpoint brings everything.

    Attributes:
        out_spec: the features that `forward` returns.
        latent_scale: what latents are multiplied by; 1 in VPD and Meta Prompts (methods.md 0.2).
    """

    out_spec: FeatureSpec
    latent_scale: float = 1.0

    @property
    @abstractmethod
    def trains(self) -> tuple[str, ...]:
        """Names of the backbone parts that get a gradient; the others are frozen."""

    def initialise(self, backbone: Backbone) -> None:
        """Fill in what comes from the encoders that belong to the backbone's weights."""

    @abstractmethod
    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """Latents (B, 4, h, w) and their batch to branches; the first predicts, the rest exist in training only."""


def constant_timestep(latents: Tensor, timestep: int) -> Tensor:
    """(B,) timesteps, on the device of the latents."""
    return torch.full((latents.shape[0],), timestep, device=latents.device)


def with_expression(tokens: Tensor, batch: Batch) -> Tensor:
    """Tokens (B, N, D), and behind them those of the expression where the task brings one: (B, N + T, D)."""
    if batch.expression_tokens is None:
        return tokens
    return torch.cat([tokens, batch.expression_tokens.to(tokens.dtype)], 1)


def expression_length(text: TextSpec) -> int:
    """T, the tokens that `with_expression` appends."""
    return text.length if text.kind == "expression" else 0
