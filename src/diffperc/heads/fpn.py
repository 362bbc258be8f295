"""The feature pyramid of VPD's segmentation model (methods.md 1.1; Lin et al. 2017, Kirillov et al. 2019)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from diffperc.heads.base import Head
from diffperc.layers.blocks import convolution_norm_relu
from diffperc.layers.dropout import Dropout2d
from diffperc.layers.resize import resize_bilinear
from diffperc.ranges import Count, Share
from diffperc.types import Features, FeatureSpec


class FPNHead(Head):
    """A top-down pyramid whose levels are upsampled to the finest one, summed and classified.

    Neck: 1x1 lateral convolutions, nearest-neighbour top-down sums, 3x3 output convolutions. Level i of the head: max(1, i)
    times [3x3 convolution, batch norm, ReLU], each followed by a bilinear doubling except in level 0.

    Args:
        spec: any number of maps.
        out_channels: K.
        channels: channels of neck and head, 256 as published.
        dropout: probability that a channel is dropped before the last convolution, 0.1 as published.
    """

    def __init__(self, spec: FeatureSpec, out_channels: int, channels: Count = 256, dropout: Share = 0.1) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in spec.channels)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in spec.channels)
        self.levels = nn.ModuleList()
        for level in range(len(spec.channels)):
            blocks = [convolution_norm_relu(channels, channels, bias=False)]
            while len(blocks) < level:
                blocks.append(convolution_norm_relu(channels, channels, bias=False))
            self.levels.append(nn.ModuleList(blocks))
        self.dropout = Dropout2d(dropout)
        self.classify = nn.Conv2d(channels, out_channels, 1)

    def forward(self, features: Features) -> Tensor:
        """See `Head.forward`; the output has the finest map's size."""
        maps = [lateral(m) for lateral, m in zip(self.laterals, features.maps, strict=True)]
        for i in range(len(maps) - 1, 0, -1):
            maps[i - 1] = maps[i - 1] + F.interpolate(maps[i], size=maps[i - 1].shape[-2:], mode="nearest")
        total = self.levels[0][0](self.outputs[0](maps[0]))  # type: ignore[index]
        for i in range(1, len(maps)):
            h = self.outputs[i](maps[i])
            for block in self.levels[i]:  # type: ignore[attr-defined]
                h = F.interpolate(block(h), scale_factor=2, mode="bilinear", align_corners=False)
            total = total + resize_bilinear(h, total.shape[-2:])
        return self.classify(self.dropout(total))
