"""The decoder of VPD's referring segmentation: coarse to fine, two convolutions per level (methods.md 1.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffperc.heads.base import Head
from diffperc.layers.blocks import convolution_norm_relu
from diffperc.layers.resize import resize_bilinear
from diffperc.ranges import Count
from diffperc.types import Features, FeatureSpec


class RefineHead(Head):
    """From the coarsest map upwards: resize to the next finer map, concatenate, twice [3x3 convolution, batch norm, ReLU].

    Every resizing aligns corners, as published.

    Args:
        spec: any number of maps.
        out_channels: K.
        channels: channels of all inner maps; None: half those of the coarsest map, 640 as published.
    """

    align_corners = True

    def __init__(self, spec: FeatureSpec, out_channels: int, channels: Count | None = None) -> None:
        super().__init__()
        *fine, coarse = spec.channels
        channels = channels or coarse // 2
        self.levels = nn.ModuleList()
        inputs = coarse
        for c in reversed(fine):
            self.levels.append(
                nn.Sequential(
                    convolution_norm_relu(inputs + c, channels, bias=False),
                    convolution_norm_relu(channels, channels, bias=False),
                )
            )
            inputs = channels
        self.classify = nn.Conv2d(inputs, out_channels, 1)

    def forward(self, features: Features) -> Tensor:
        """See `Head.forward`; the output has the finest map's size."""
        *fine, h = features.maps
        for level, m in zip(self.levels, reversed(fine), strict=True):
            h = resize_bilinear(h, m.shape[-2:], align_corners=True)
            h = level(torch.cat([h, m], 1))
        return self.classify(h)
