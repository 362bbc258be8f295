"""UPerNet with an auxiliary head, as in the segmentation model of Meta Prompts (methods.md 2.2; Xiao et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diffperc.heads.base import Auxiliary, Head
from diffperc.layers.blocks import convolution_norm_relu
from diffperc.layers.dropout import Dropout2d
from diffperc.layers.resize import resize_bilinear
from diffperc.ranges import Count, Share, Weight
from diffperc.types import Features, FeatureSpec


class UPerHead(Head):
    """Pyramid pooling on the coarsest map, a top-down pyramid below it, all levels fused; an auxiliary FCN on one map.

    Args:
        spec: two maps or more.
        out_channels: K.
        channels: channels of all inner maps, 512 as published.
        pools: sides of the pooled maps.
        dropout: probability that a channel is dropped before the last convolutions, 0 (ADE20K) or 0.1 (Cityscapes) as
            published.
        auxiliary_weight: weight of the loss of the FCN on the third map; 0 leaves the FCN out.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        out_channels: int,
        channels: Count = 512,
        pools: Sequence[Count] = (1, 2, 3, 6),
        dropout: Share = 0.0,
        auxiliary_weight: Weight = 0.4,
    ) -> None:
        super().__init__()
        if len(spec.channels) < 2:
            raise ValueError(f"UPerHead reads two maps or more, got {len(spec.channels)}; with meta prompts set "
                             "strategy.readout=pyramid")  # fmt: skip
        *fine, coarse = spec.channels

        def block(inputs: int, kernel: int) -> nn.Sequential:
            return convolution_norm_relu(inputs, channels, kernel=kernel, bias=False)

        self.pools = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(side), block(coarse, 1)) for side in pools)
        self.bottleneck = block(coarse + len(pools) * channels, 3)
        self.laterals = nn.ModuleList(block(c, 1) for c in fine)
        self.smooth = nn.ModuleList(block(channels, 3) for _ in fine)
        self.fuse = block(len(spec.channels) * channels, 3)
        self.classify = nn.Sequential(Dropout2d(dropout), nn.Conv2d(channels, out_channels, 1))
        self.auxiliary_weight = auxiliary_weight
        self.auxiliary_level = min(2, len(fine))
        if auxiliary_weight:
            self.fcn = nn.Sequential(
                block(spec.channels[self.auxiliary_level], 3),
                Dropout2d(dropout),
                nn.Conv2d(channels, out_channels, 1),
            )

    def forward(self, features: Features) -> Tensor:
        """See `Head.forward`; the output has the finest map's size."""
        *fine, coarse = features.maps
        pooled = [resize_bilinear(pool(coarse), coarse.shape[-2:]) for pool in self.pools]
        top = self.bottleneck(torch.cat([coarse, *pooled], 1))
        size = fine[0].shape[-2:]
        fused = [resize_bilinear(top, size)]
        h = top
        for lateral, smooth, m in zip(reversed(self.laterals), reversed(self.smooth), reversed(fine), strict=True):
            h = lateral(m) + resize_bilinear(h, m.shape[-2:])
            fused.insert(0, resize_bilinear(smooth(h), size))
        return self.classify(self.fuse(torch.cat(fused, 1)))

    def auxiliary(self, features: Features) -> tuple[Auxiliary, ...]:
        """See `Head.auxiliary`."""
        if not self.auxiliary_weight:
            return ()
        return (Auxiliary(self.auxiliary_weight, self.fcn(features.maps[self.auxiliary_level])),)
