"""CLIP's text side: tokenizer, encoder, prompts."""

from diffperc.text.encoder import TextEncoder, TextEncoding
from diffperc.text.prompts import imagenet_templates, name_embeddings
from diffperc.text.tokenizer import check_tokenizer, clip_tokenizer, tokenizer_from_merges

__all__ = [
    "TextEncoder",
    "TextEncoding",
    "check_tokenizer",
    "clip_tokenizer",
    "imagenet_templates",
    "name_embeddings",
    "tokenizer_from_merges",
]
