"""Frozen encoders that turn words or pixels into tokens: CLIP's, a captioner, a classifier."""

from diffperc.encoders.clip_image import ClipImageEncoder
from diffperc.encoders.clip_text import ExpressionEncoder, TextEncoder, TextEncoding, text_encoder_at
from diffperc.encoders.prompts import cache_folder, imagenet_templates, name_embeddings
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
    "ClipImageEncoder",
    "ExpressionEncoder",
    "TextEncoder",
    "TextEncoding",
    "cache_folder",
    "check_tokenizer",
    "clip_tokenizer",
    "imagenet_templates",
    "merges_of",
    "name_embeddings",
    "text_encoder_at",
    "token_config",
    "tokenizer_from_merges",
    "train_tokenizer",
]
