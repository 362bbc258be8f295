"""The depth decoder of VPD and Meta Prompts: transposed convolutions up to full size (methods.md 1.3, 2.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffperc.heads.base import Head
from diffperc.layers.blocks import convolution_norm_relu, deconvolutions, init_normal, init_truncated
from diffperc.ranges import Count, Finite, NotNegative
from diffperc.types import Features, FeatureSpec

_GROUPS = 16
_STEPS = 3  # transposed convolutions at most; further doublings are bilinear


class Aggregation(nn.Module):
    """Four maps to one at the third stride, as in VPD's depth model, or three.

    The finest map is halved twice, the second once, a fourth doubled (nearest). They are concatenated, followed by a 1x1
    convolution, group norm and ReLU.
    """

    def __init__(self, spec: FeatureSpec, channels: int) -> None:
        super().__init__()
        c0, c1, *_ = spec.channels
        self.fine = nn.Sequential(
            nn.Conv2d(c0, c0, 3, 2, 1), nn.GroupNorm(math.gcd(_GROUPS, c0), c0), nn.ReLU(), nn.Conv2d(c0, c0, 3, 2, 1)
        )
        self.middle = nn.Conv2d(c1, c1, 3, 2, 1)
        self.fuse = nn.Sequential(
            nn.Conv2d(sum(spec.channels), channels, 1), nn.GroupNorm(_GROUPS, channels), nn.ReLU()
        )
        self.out_spec = FeatureSpec((channels,), (spec.strides[2],))
        init_truncated(self)

    def forward(self, features: Features) -> Features:
        m = features.maps
        coarse = [F.interpolate(larger, size=m[2].shape[-2:], mode="nearest") for larger in m[3:]]
        fused = self.fuse(torch.cat([self.fine(m[0]), self.middle(m[1]), m[2], *coarse], 1))
        return Features((fused,), self.out_spec)


class DeconvHead(Head):
    """Up to three transposed convolutions, a 3x3 convolution, bilinear doublings, two more 3x3 convolutions.

    A single map (the readout of Meta Prompts at stride 8) is decoded as it is; four maps, or the three of BK-SDM's tiny
    model, are aggregated at stride 32 first.

    Args:
        spec: one map, three or four.
        out_channels: K.
        neck_channels: channels of the aggregated map, 1536 as published.
        filters: channels of the transposed convolutions, 32 as published.
        channels: channels of the convolutions at full size, 192 as published.
        out_stride: side of an output cell in image pixels, 1 as published; 2 decodes a quarter of the cells.
        init_std: standard deviation of the initial weights, 0.001 as published; None keeps torch's own initialisation.
        init_bias: initial bias of the output, 0 as published. A value near the mean target (for depth, the logit of the
            usual depth over the largest) keeps a small network from losing its features while it learns the mean.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        out_channels: int,
        neck_channels: Count = 1536,
        filters: Count = 32,
        channels: Count = 192,
        out_stride: Count = 1,
        init_std: NotNegative | None = 0.001,
        init_bias: Finite = 0.0,
    ) -> None:
        super().__init__()
        if len(spec.channels) not in (1, 3, 4):
            raise ValueError(f"DeconvHead reads one map, three or four, got {len(spec.channels)}")
        self.aggregation = Aggregation(spec, neck_channels) if len(spec.channels) > 1 else None
        inner = self.aggregation.out_spec if self.aggregation is not None else spec
        doublings = (inner.strides[0] // out_stride).bit_length() - 1
        deconvs = min(_STEPS, doublings)
        self.doublings = doublings - deconvs
        self.decoder = nn.Sequential(
            deconvolutions(inner.channels[0], filters, deconvs, kernel=2), convolution_norm_relu(filters, channels)
        )
        last = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.output = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), last)
        init_normal(self.decoder, init_std)
        init_normal(self.output, init_std)
        nn.init.constant_(last.bias, init_bias)  # type: ignore[arg-type]

    def aggregate(self, features: Features) -> Features:
        """See `Head.aggregate`."""
        return features if self.aggregation is None else self.aggregation(features)

    def forward(self, features: Features) -> Tensor:
        """See `Head.forward`; the output has the size of the image divided by `out_stride`."""
        h = self.decoder(features.maps[0])
        for _ in range(self.doublings):
            h = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
        return self.output(h)
