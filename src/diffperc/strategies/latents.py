"""The control without a UNet: the head reads the latents. What a strategy gains over this, the UNet has given.

Nothing but the head is learned, and words are not heard: for referring segmentation it can only learn what is usually
meant. Not from a paper.
"""

from __future__ import annotations

from torch import Tensor

from diffperc.backbones import Backbone
from diffperc.strategies.base import Strategy
from diffperc.types import Batch, Branch, Features, FeatureSpec, TextSpec


class Latents(Strategy):
    """No UNet: the latents are the features.

    Args:
        backbone: for the stride of its latents.
        text: not needed here.
    """

    def __init__(self, backbone: Backbone, text: TextSpec) -> None:
        super().__init__()
        self.out_spec = FeatureSpec((backbone.latent_channels,), backbone.spec.strides[:1])

    @property
    def trains(self) -> tuple[str, ...]:
        """Nothing of the backbone."""
        return ()

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """The latents themselves; see `Strategy.forward`."""
        return [Branch(Features((latents,), self.out_spec), "latents")]
