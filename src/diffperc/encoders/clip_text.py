"""A frozen CLIP text encoder with its tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
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
        output = self.model(input_ids=ids.to(self.model.device))
        return TextEncoding(output.last_hidden_state, output.pooler_output)

    def fingerprint(self) -> str:
        """Equal for equal weights: what vectors in a cache belong to."""
        digest = hashlib.sha256(str(len(self.tokenizer)).encode())
        for parameter in self.model.parameters():
            digest.update(parameter.detach().float().sum(dtype=torch.float64).numpy().tobytes())
        return digest.hexdigest()


class ExpressionEncoder(nn.Module):
    """A text encoder that travels with a model: its sentences are known only when it is used (methods.md 1.2).

    Args:
        encoder: frozen.
        length: tokens a sentence is padded or cut to.
    """

    def __init__(self, encoder: TextEncoder, length: int) -> None:
        super().__init__()
        self.model = encoder.model  # a module of ours, so that its weights move and are saved with us
        self._encoder = encoder
        self.length = length

    def train(self, mode: bool = True) -> ExpressionEncoder:
        """Stays in evaluation mode: frozen means frozen."""
        return super().train(False)

    def forward(self, sentences: Sequence[str]) -> Tensor:
        """Sentences to tokens (B, `length`, D), without gradient."""
        return self._encoder.encode(sentences, self.length).tokens
