"""The control without a UNet: the head reads the latents. A strategy's gain over this control comes from the UNet.

Only the head is trained. The expression is not used, so in referring segmentation the head can only learn which objects
are referred to most often. Not from a paper.
"""

from __future__ import annotations

from torch import Tensor

from diffperc.backbones import Backbone
from diffperc.strategies.base import Strategy
from diffperc.types import Batch, Branch, Features, FeatureSpec, TextSpec


class Latents(Strategy):
    """No UNet: the latents are the features.

    Args:
        backbone: gives channels and stride of the latents.
        text: not used.
    """

    def __init__(self, backbone: Backbone, text: TextSpec) -> None:
        super().__init__()
        self.out_spec = FeatureSpec((backbone.latent_channels,), backbone.spec.strides[:1])

    @property
    def trains(self) -> tuple[str, ...]:
        """No part of the backbone."""
        return ()

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """The latents themselves; see `Strategy.forward`."""
        return [Branch(Features((latents,), self.out_spec), "latents")]
