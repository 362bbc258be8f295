"""A forward pass through the modules of diffusers' UNet, block by block, without hooks or patches."""

from __future__ import annotations

from collections.abc import Collection
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class Walk:
    """One forward pass, which collects feature maps and attention maps.

    The feature maps are the outputs of the second layer of every up block but the last, and of the last layer of the last
    one (methods.md 0.4). The UNet's output layers are not run.

    Args:
        unet: a diffusers `UNet2DConditionModel`.
        emb: (B, T) time embedding.
        tokens: (B, N, D).
        strides: strides in latent cells at which the attention maps of down and up blocks are collected; those of the
            middle block are not.
        checkpointing: recompute every layer's activations in the backward pass.
    """

    def __init__(
        self, unet: Any, emb: Tensor, tokens: Tensor, strides: Collection[int], checkpointing: bool = False
    ) -> None:
        self.unet, self.emb, self.tokens = unet, emb, tokens
        self.strides, self.checkpointing = strides, checkpointing
        self.maps: list[Tensor] = []
        self.attention: dict[int, list[Tensor]] = {}

    def run(self, latents: Tensor) -> list[Tensor]:
        """Latents (B, 4, h, w) to feature maps (B, Ci, h / 2^i, w / 2^i), finest first."""
        skips, stride = self._down(latents)
        self._up(self._middle(skips[-1]), skips, stride)
        return self.maps

    def attention_maps(self) -> dict[int, Tensor]:
        """By stride in latent cells, the mean over the layers of that stride: (B, N, h, w)."""
        return {stride: torch.stack(maps).mean(0) for stride, maps in self.attention.items()}

    def _down(self, latents: Tensor) -> tuple[list[Tensor], int]:
        """The outputs of the first convolution, of all layers and of all halvings; and the stride of the last one."""
        stride, h = 1, self.unet.conv_in(latents)
        skips = [h]
        for block in self.unet.down_blocks:
            for resnet, attention in _layers(block):
                h = self._layer(resnet, attention, h, None, stride)
                skips.append(h)
            for downsampler in block.downsamplers or ():
                h = downsampler(h)
                skips.append(h)
                stride *= 2
        return skips, stride

    def _middle(self, h: Tensor) -> Tensor:
        block = self.unet.mid_block
        if block is None:  # of BK-SDM's smaller models
            return h
        h = block.resnets[0](h, self.emb)
        for attention, resnet in zip(block.attentions, block.resnets[1:], strict=True):
            h = attention(h, encoder_hidden_states=self.tokens, return_dict=False)[0]
            h = resnet(h, self.emb)
        return h

    def _up(self, h: Tensor, skips: list[Tensor], stride: int) -> None:
        """Run the up blocks and keep the feature maps."""
        blocks = self.unet.up_blocks
        taps = [1] * (len(blocks) - 1) + [len(blocks[-1].resnets) - 1]
        for block, tap in zip(blocks, taps, strict=True):
            outputs = []
            for resnet, attention in _layers(block):
                h = self._layer(resnet, attention, h, skips.pop(), stride)
                outputs.append(h)
            self.maps.insert(0, outputs[tap])
            for upsampler in block.upsamplers or ():
                h = upsampler(h)
                stride //= 2

    def _layer(self, resnet: nn.Module, attention: nn.Module | None, h: Tensor, skip: Tensor | None, s: int) -> Tensor:
        record = attention is not None and s in self.strides
        arguments = (resnet, attention, h, skip, self.emb, self.tokens, record)
        if self.checkpointing and torch.is_grad_enabled():
            h, maps = checkpoint(_apply, *arguments, use_reentrant=False)
        else:
            h, maps = _apply(*arguments)
        for probabilities in maps:
            spatial = probabilities.transpose(1, 2).unflatten(-1, tuple(h.shape[-2:]))
            self.attention.setdefault(s, []).append(spatial)
        return h


def _layers(block: Any) -> list[tuple[nn.Module, nn.Module | None]]:
    """The residual blocks, each with its transformer, or None where the block has no attention."""
    return list(zip_longest(block.resnets, getattr(block, "attentions", None) or ()))


def _apply(
    resnet: nn.Module,
    attention: nn.Module | None,
    h: Tensor,
    skip: Tensor | None,
    emb: Tensor,
    tokens: Tensor,
    record: bool,
) -> tuple[Tensor, list[Tensor]]:
    """Run one residual block and its transformer.

    The attention maps are returned, not collected, because gradient checkpointing runs this a second time.
    """
    if skip is not None:
        if skip.shape[-2:] != h.shape[-2:]:  # odd sizes (methods.md 2.0)
            skip = F.interpolate(skip, size=h.shape[-2:], mode="bilinear")
        h = torch.cat([h, skip], dim=1)
    h = resnet(h, emb)
    maps: list[Tensor] = []
    if attention is not None:
        kwargs = {"record": maps} if record else None
        h = attention(h, encoder_hidden_states=tokens, cross_attention_kwargs=kwargs, return_dict=False)[0]
    return h, maps
