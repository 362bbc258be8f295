"""Latents and tokens of the whole corpus, computed once and kept in half precision."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from diffperc.pretraining.clip import token_ids
from diffperc.pretraining.corpus import Corpus
from diffperc.pretraining.datasets import ImageDataset

_BATCH = 32


def cached_latents(out: Path, corpus: Corpus) -> tuple[Any, Tensor]:
    """The VAE in `out`, and the latents (N, 4, h, w) it gives for all images."""
    vae = AutoencoderKL.from_pretrained(out / "vae").eval().to(memory_format=torch.channels_last)
    latents = _cached(out / "stages" / "latents.pt", lambda: encode_images(vae, corpus, corpus.everything).half())
    return vae, latents.float()


def cached_tokens(out: Path, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Tokens (N, 77, D) of the captions, in half precision, and (77, D) of the empty sentence, in float32."""
    # the empty sentence is the last row
    tokens = _cached(out / "stages" / "tokens.pt", lambda: _encode_sentences(out, [*captions, ""]))
    return tokens[:-1], tokens[-1].float()


@torch.no_grad()
def encode_images(vae: Any, corpus: Corpus, indices: Sequence[int]) -> Tensor:
    """Latents (len(indices), 4, h, w) of images of the corpus: the mean of the posterior."""
    images = ImageDataset(corpus.images, indices)
    latents = []
    for start in range(0, len(images), _BATCH):
        part = range(start, min(start + _BATCH, len(images)))
        pixels = torch.stack([images[i] for i in part])
        latents.append(vae.encode(pixels * 2 - 1).latent_dist.mode())
    return torch.cat(latents)


@torch.no_grad()
def _encode_sentences(out: Path, sentences: Sequence[str]) -> Tensor:
    model = CLIPTextModel.from_pretrained(out / "text_encoder").eval()
    ids = token_ids(CLIPTokenizer.from_pretrained(str(out / "tokenizer")), sentences)
    return torch.cat([model(input_ids=part).last_hidden_state.half() for part in ids.split(128)])


def _cached(file: Path, compute: Callable[[], Tensor]) -> Tensor:
    """The tensor in a file, computed and written where it is missing.

    The file is renamed into place when it is complete, because a stage may be stopped, or run beside another.
    """
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}.part")
        torch.save(compute(), unfinished)
        os.replace(unfinished, file)
    tensor: Tensor = torch.load(file, weights_only=True, mmap=True)
    return tensor
