"""Attention in the UNet: fused where only the result is needed, explicit where the probabilities are asked for."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from diffperc.checks import at_least_float32


class AttentionProcessor:
    """A diffusers attention processor without state; it appends probabilities to the `record` passed with the call.

    - Self-attention, and cross-attention without a `record`, use `scaled_dot_product_attention`.
    - Cross-attention with a `record` computes softmax(Q K^T / sqrt(d)) explicitly and appends its mean over heads,
      (B, queries, N) (methods.md 0.5).
    - Over a single token the softmax is 1, so the result is the token's value for every query (methods.md 10.8), and
      neither queries nor keys are computed.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        record: list[Tensor] | None = None,
    ) -> Tensor:
        """Attend from the hidden states to themselves, or to tokens where there are some.

        Args:
            attn: the diffusers `Attention` layer, with its projections.
            hidden_states: (B, queries, C).
            encoder_hidden_states: tokens (B, N, D), or None for self-attention.
            attention_mask: not used; diffusers passes it.
            temb: not used; diffusers passes it.
            record: receives the probabilities (B, queries, N) of cross-attention.

        Returns:
            (B, queries, C).
        """
        is_cross = encoder_hidden_states is not None
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        value = attn.to_v(context)
        if is_cross and context.shape[1] == 1 and record is None:
            result: Tensor = attn.to_out[0](value)
            return result.expand(-1, hidden_states.shape[1], -1)

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

        q, k, v = heads(attn.to_q(hidden_states)), heads(attn.to_k(context)), heads(value)
        if is_cross and record is not None:
            probabilities = _probabilities(q, k)
            record.append(probabilities.mean(1))
            out = probabilities.to(v.dtype) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        result = attn.to_out[0](out.transpose(1, 2).flatten(2))
        return result


def _probabilities(q: Tensor, k: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(d)): (B, heads, queries, d) and (B, heads, N, d) to (B, heads, queries, N), at least float32."""
    # scaled first: the product of unscaled ones may be too large for float16
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return scores.to(at_least_float32(q.dtype)).softmax(-1)
