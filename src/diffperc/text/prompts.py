"""Prompts made of names, and their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

import torch
from torch import Tensor

from diffperc.text.encoder import TextEncoder


def imagenet_templates() -> tuple[str, ...]:
    """The 80 templates that CLIP used for ImageNet, each with one ``{}``."""
    text = resources.files("diffperc.text").joinpath("data/imagenet_templates.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def name_embeddings(
    encoder: TextEncoder, names: Sequence[str], templates: Sequence[str], max_length: int = 20
) -> Tensor:
    """One vector a name: pooled text vectors, averaged over templates, not normalised (methods.md 1.3).

    Args:
        names: such as scene labels; underscores are read as spaces.
        templates: sentences with one ``{}``.
        max_length: tokens a sentence, 20 in VPD's script.

    Returns:
        (len(names), D).
    """
    rows = []
    for name in names:
        sentences = [t.format(name.replace("_", " ")) for t in templates]
        rows.append(encoder.encode(sentences, max_length).pooled.mean(0))
    return torch.stack(rows)
