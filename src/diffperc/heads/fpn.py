"""Feature pyramid neck and head of VPD's segmentation (methods.md 1.1; Lin et al. 2017, Kirillov et al. 2019)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from diffperc.heads.base import Head
from diffperc.layers.blocks import convolution_norm_relu
from diffperc.types import Features, FeatureSpec


class FPNHead(Head):
    """Neck: 1x1 laterals, nearest top-down sums, 3x3 outputs. Head: each level brought to the finest, summed, 1x1.

    Level i goes through max(1, i) times [3x3 convolution, batch norm, ReLU], each but level 0's followed by a bilinear
    doubling.

    Args:
        spec: any number of maps.
        out_channels: K.
        channels: of neck and head, 256 as published.
        dropout: of whole channels before the last convolution, 0.1 as published.
    """

    def __init__(self, spec: FeatureSpec, out_channels: int, channels: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in spec.channels)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in spec.channels)
        self.levels = nn.ModuleList(
            nn.ModuleList(convolution_norm_relu(channels, channels, bias=False) for _ in range(max(1, i)))
            for i in range(len(spec.channels))
        )
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(channels, out_channels, 1)

    def forward(self, features: Features) -> Tensor:
        """See `Head.forward`; the output has the finest map's size."""
        maps = [lateral(m) for lateral, m in zip(self.laterals, features.maps, strict=True)]
        for i in range(len(maps) - 1, 0, -1):
            maps[i - 1] = maps[i - 1] + F.interpolate(maps[i], size=maps[i - 1].shape[-2:], mode="nearest")
        size = maps[0].shape[-2:]
        total: Tensor | None = None
        for i, (output, convolutions) in enumerate(zip(self.outputs, self.levels, strict=True)):
            h = output(maps[i])
            for convolution in convolutions:  # type: ignore[attr-defined]
                h = convolution(h)
                if i > 0:
                    h = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
            if h.shape[-2:] != size:
                h = F.interpolate(h, size=size, mode="bilinear", align_corners=False)
            total = h if total is None else total + h
        assert total is not None
        return self.classify(self.dropout(total))
