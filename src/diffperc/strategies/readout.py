"""Meta prompts' fused readout (methods.md 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffperc.nn.blocks import convolution_norm_relu, deconvolutions, init_normal, init_truncated
from diffperc.types import Features, FeatureSpec

_GROUPS = 16
_FILTERS = 32


def _fuse(inputs: int, outputs: int) -> nn.Sequential:
    layer = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(_GROUPS, outputs), nn.ReLU())
    init_truncated(layer)
    return layer


class FusedReadout(nn.Module):
    """Maps of all strides to the finest, one fused map as wide as the tokens, and its product with the tokens.

    Finest map: 3x3 convolution, group norm, ReLU. Coarser ones: transposed convolutions up to the finest size, 3x3
    convolution back to their width. Concatenated, 3x3 convolution to D, group norm, ReLU.

    Args:
        spec: of the backbone's maps.
        width: D of the tokens.
        init_std: of the decoders' first weights; see `init_normal`.
    """

    def __init__(self, spec: FeatureSpec, width: int, init_std: float | None = 0.001) -> None:
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

    def forward(self, features: Features, tokens: Tensor) -> Tensor:
        """Features and tokens (B, N, D) to (B, N, h, w) at the finest map's size."""
        size = features.maps[0].shape[-2:]
        # odd sizes overshoot by less than one coarse cell
        levels = [level(m)[..., : size[0], : size[1]] for level, m in zip(self.levels, features.maps, strict=True)]
        return torch.einsum("bdhw,bnd->bnhw", self.fuse(torch.cat(levels, 1)), tokens)
