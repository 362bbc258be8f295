"""The decoder of VPD's referring segmentation (methods.md 1.2): coarse to fine, two convolutions a level."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffperc.heads.base import Head
from diffperc.layers.blocks import convolution_norm_relu
from diffperc.types import Features, FeatureSpec


class RefineHead(Head):
    """From the coarsest map: bring up to the next finer one, concatenate, twice [3x3 convolution, batch norm, ReLU].

    Every resizing aligns corners, as published.

    Args:
        spec: any number of maps.
        out_channels: K.
        channels: of all inner maps; None: half of the coarsest map's, 640 as published.
    """

    align_corners = True

    def __init__(self, spec: FeatureSpec, out_channels: int, channels: int | None = None) -> None:
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
            if h.shape[-2:] != m.shape[-2:]:
                h = F.interpolate(h, size=m.shape[-2:], mode="bilinear", align_corners=True)
            h = level(torch.cat([h, m], 1))
        return self.classify(h)
