"""The control without a condition: the UNet gets the empty sentence.

Tokens: the 77 vectors of the empty sentence, as in Stable Diffusion's unconditional branch, followed in referring
segmentation by those of the expression. Timestep 1, as in VPD. Only the UNet and the head are trained. Not from a paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffperc.backbones import Backbone
from diffperc.ranges import Count, Timestep
from diffperc.strategies.base import Strategy, constant_timestep, with_expression
from diffperc.types import Batch, Branch, Conditioning, TextSpec


class Unconditional(Strategy):
    """The empty prompt.

    Args:
        backbone: gives the widths.
        text: not used.
        timestep: diffusion timestep of the UNet's pass.
        length: number of tokens of the empty sentence.
    """

    tokens: Tensor

    def __init__(self, backbone: Backbone, text: TextSpec, timestep: Timestep = 1, length: Count = 77) -> None:
        super().__init__()
        self.out_spec = backbone.spec
        self.timestep = timestep
        self.register_buffer("tokens", torch.zeros(length, backbone.token_dim))

    @property
    def trains(self) -> tuple[str, ...]:
        """All but the output layers."""
        return ("features", "time_embedding", "attention_scores")

    def initialise(self, backbone: Backbone) -> None:
        """Encode the empty sentence."""
        self.tokens.copy_(backbone.text_encoder().encode([""], self.tokens.shape[0]).tokens[0])

    def token_names(self, batch: Batch, words: Sequence[str]) -> tuple[str, ...]:
        """The empty sentence as one, and the words of the expression."""
        return (*["empty sentence"] * len(self.tokens), *words)

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """One pass; see `Strategy.forward`."""
        tokens = with_expression(self.tokens.expand(latents.shape[0], -1, -1), batch)
        conditioning = Conditioning(tokens, constant_timestep(latents, self.timestep))
        return [Branch(backbone.extract(latents, conditioning), "unconditional")]
