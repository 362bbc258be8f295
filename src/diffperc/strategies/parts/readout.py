"""The readouts of Meta Prompts: products of features with the tokens that conditioned them (methods.md 2.1, 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffperc.layers.blocks import convolution_norm_relu, deconvolutions, init_normal, init_truncated
from diffperc.types import Features, FeatureSpec

_GROUPS = 16
_FILTERS = 32


def _fuse(inputs: int, outputs: int) -> nn.Sequential:
    layer = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(_GROUPS, outputs), nn.ReLU())
    init_truncated(layer)
    return layer


def _by_tokens(feature: Tensor, tokens: Tensor) -> Tensor:
    """A map (B, D, h, w) and tokens (B, N, D) to their products (B, N, h, w)."""
    return torch.einsum("bdhw,bnd->bnhw", feature, tokens)


class FusedReadout(nn.Module):
    """All maps at the finest stride, fused to one map of D channels, and its product with the tokens.

    Finest map: 3x3 convolution, group norm, ReLU. Coarser maps: transposed convolutions up to the finest size, 3x3
    convolution back to their number of channels. Concatenated: 3x3 convolution to D channels, group norm, ReLU.

    Args:
        spec: channels and strides of the backbone's maps.
        width: D of the tokens.
        tokens: N.
        init_std: standard deviation of the decoders' initial weights; see `init_normal`.
    """

    def __init__(self, spec: FeatureSpec, width: int, tokens: int, init_std: float | None = 0.001) -> None:
        super().__init__()
        levels: list[nn.Module] = [_fuse(spec.channels[0], spec.channels[0])]
        for channels, stride in zip(spec.channels[1:], spec.strides[1:], strict=True):
            doublings = (stride // spec.strides[0]).bit_length() - 1
            decoder = nn.Sequential(
                deconvolutions(channels, _FILTERS, doublings, kernel=4), convolution_norm_relu(_FILTERS, channels)
            )
            init_normal(decoder, init_std)
            levels.append(decoder)
        self.levels = nn.ModuleList(levels)
        self.fuse = _fuse(sum(spec.channels), width)
        self.out_spec = FeatureSpec((tokens,), (spec.strides[0],))

    def forward(self, features: Features, tokens: Tensor) -> Features:
        """Features and tokens (B, N, D) to one map (B, N, h, w) at the finest map's size."""
        size = features.maps[0].shape[-2:]
        # upsampled maps are larger where a size was odd, by less than one coarse cell
        levels = [level(m)[..., : size[0], : size[1]] for level, m in zip(self.levels, features.maps, strict=True)]
        return Features((_by_tokens(self.fuse(torch.cat(levels, 1)), tokens),), self.out_spec)


class PyramidReadout(nn.Module):
    """Per level: bilinear doubling, 3x3 convolution to D channels, group norm, ReLU, product with the tokens.

    Args:
        spec: channels and strides of the backbone's maps.
        width: D of the tokens.
        tokens: N.
    """

    def __init__(self, spec: FeatureSpec, width: int, tokens: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_fuse(channels, width) for channels in spec.channels)
        self.out_spec = FeatureSpec((tokens,) * len(spec.channels), tuple(s // 2 for s in spec.strides))

    def forward(self, features: Features, tokens: Tensor) -> Features:
        """Features and tokens (B, N, D) to one map (B, N, 2h, 2w) per level."""
        maps = []
        for level, feature in zip(self.levels, features.maps, strict=True):
            larger = F.interpolate(feature, scale_factor=2, mode="bilinear", align_corners=False)
            maps.append(_by_tokens(level(larger), tokens))
        return Features(tuple(maps), self.out_spec)
