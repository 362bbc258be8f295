"""The same network computed in other ways, to compare with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from diffperc.models import PerceptionModel

PATHS = {
    "reference": "float32, attention as explicit softmax(Q K^T / sqrt(d)) V, the UNet to its end: as the authors' code",
    "diffusers": "float32, fused attention, the UNet to its end: as diffusers computes it, with the same head",
}


def plain_path(model: PerceptionModel, name: str) -> PerceptionModel:
    """A copy of a network that computes the same in one of the ways of `PATHS`.

    Both take the plain memory layout, attend also to a single token, and run the output layers that nothing reads.

    Args:
        model: with the Stable Diffusion backbone, in float32; not changed.
        name: one of `PATHS`.
    """
    plain = copy.deepcopy(model)
    plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    backbone: Any = plain.backbone
    backbone.unet.set_attn_processor(_PlainAttention(explicit=name == "reference"))
    extract: Callable[..., Any] = backbone.extract

    def whole(*arguments: Any, **options: Any) -> Any:
        features = extract(*arguments, **options)
        backbone.to_latents(features)
        return features

    backbone.extract = whole
    return plain


class _PlainAttention:
    """Every attention in full; see `backbones.attention.AttentionProcessor` for the arguments."""

    def __init__(self, explicit: bool) -> None:
        self._explicit = explicit

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        record: list[Tensor] | None = None,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

        q, k, v = heads(attn.to_q(hidden_states)), heads(attn.to_k(context)), heads(attn.to_v(context))
        if self._explicit or record is not None:
            probabilities = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
            if record is not None and encoder_hidden_states is not None:
                record.append(probabilities.mean(1))
            out = probabilities @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        result: Tensor = attn.to_out[0](out.transpose(1, 2).flatten(2))
        return result
