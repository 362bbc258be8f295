"""A frozen CLIP text encoder with its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer


class TextEncoding(NamedTuple):
    """tokens (B, N, D): last hidden state after the final layer norm; pooled (B, D): the end token's, not projected."""

    tokens: Tensor
    pooled: Tensor


class TextEncoder:
    """Encodes sentences as the published methods do: padded to a fixed length, no attention mask (methods.md 1.2).

    Not a module on purpose: strategies keep the vectors they need as buffers, so a checkpoint holds no text encoder.
    """

    def __init__(self, model: CLIPTextModel, tokenizer: CLIPTokenizer) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer

    @torch.no_grad()
    def encode(self, sentences: Sequence[str], max_length: int = 77) -> TextEncoding:
        """Encode sentences of any length; longer ones are cut at `max_length` tokens."""
        ids = self.tokenizer(
            list(sentences), padding="max_length", max_length=max_length, truncation=True, return_tensors="pt"
        )["input_ids"]
        output = self.model(input_ids=ids)
        return TextEncoding(output.last_hidden_state, output.pooler_output)
