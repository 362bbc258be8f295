"""Prompts made from names, and their text vectors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from diffperc.encoders.clip_text import TextEncoder


def imagenet_templates() -> tuple[str, ...]:
    """The 80 templates that CLIP used for ImageNet, each with one ``{}``."""
    text = resources.files("diffperc.assets").joinpath("imagenet_templates.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def name_embeddings(
    encoder: TextEncoder, names: Sequence[str], templates: Sequence[str], max_length: int = 20
) -> Tensor:
    """One vector per name: pooled text vectors, averaged over templates, not normalised (methods.md 1.1, 1.3).

    The vectors are cached by names, templates and encoder: with 150 names and 80 templates a large encoder takes minutes.

    Args:
        encoder: computes the vectors.
        names: such as class names or scene labels; underscores are read as spaces.
        templates: sentences with one ``{}``.
        max_length: number of tokens per sentence, 20 in VPD's script.

    Returns:
        (K, D) for K names.
    """
    key = json.dumps([list(names), list(templates), max_length, encoder.fingerprint()])
    file = cache_folder() / "text" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
    try:
        return load_file(file)["vectors"]
    except (OSError, SafetensorError, KeyError):  # not cached yet, or damaged: computed below
        pass
    rows = []
    for name in names:
        sentences = [t.format(name.replace("_", " ")) for t in templates]
        rows.append(encoder.encode(sentences, max_length).pooled.mean(0))
    vectors = torch.stack(rows)
    _keep(file, vectors)
    return vectors


def cache_folder() -> Path:
    """Where what is computed once is kept: ``DIFFPERC_CACHE``, or the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("DIFFPERC_CACHE", f"{base}/diffperc")).expanduser()


def _keep(file: Path, vectors: Tensor) -> None:
    unfinished = file.with_suffix(f".{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({"vectors": vectors.contiguous()}, unfinished)
        os.replace(unfinished, file)
    except (OSError, SafetensorError):  # where the cache cannot be written there is none
        unfinished.unlink(missing_ok=True)
