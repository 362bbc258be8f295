"""CLIP's text side: tokenizer, encoder, prompts."""

from diffperc.encoders.clip_text import ExpressionEncoder, TextEncoder, TextEncoding
from diffperc.encoders.prompts import imagenet_templates, name_embeddings
from diffperc.encoders.tokenizer import (
    OPENAI_TOKENS,
    check_tokenizer,
    clip_tokenizer,
    merges_of,
    token_config,
    tokenizer_from_merges,
    train_tokenizer,
)

__all__ = [
    "OPENAI_TOKENS",
    "ExpressionEncoder",
    "TextEncoder",
    "TextEncoding",
    "check_tokenizer",
    "clip_tokenizer",
    "imagenet_templates",
    "merges_of",
    "name_embeddings",
    "token_config",
    "tokenizer_from_merges",
    "train_tokenizer",
]
