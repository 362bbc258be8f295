"""Images that show what the stages have learned: reconstructions of the VAE, and samples of the finished pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from diffperc.encoders.clip_image import normalised
from diffperc.pretraining.cache import encode_images
from diffperc.pretraining.clip import token_ids
from diffperc.pretraining.corpus import Corpus
from diffperc.pretraining.datasets import ImageDataset

STEPS, GUIDANCE = 30, 5.0

CAPTIONS = (
    "a brown shelf in a storeroom with orange walls and a white floor",
    "a large red bed in a bedroom with yellow walls and a blue floor",
    "a green plant in a living room with pink walls and a brown floor",
    "a blue box in a storeroom with yellow walls and a gray floor",
    "a white shelf in an office with green walls and a brown floor",
    "a green bed in a bedroom with pink walls and a white floor",
    "a large green plant in a corridor with cyan walls and a gray floor",
    "a red box in a playroom with white walls and a green floor",
    "a brown table in a dining room with blue walls and a gray floor",
    "a blue sofa in a hall with green walls and a white floor",
    "a blue shelf in a living room with white walls and a red floor",
    "a large orange bed in a bedroom with gray walls and a brown floor",
    "a green plant in a bedroom with purple walls and a white floor",
    "a cyan box in a storeroom with brown walls and a gray floor",
    "a large white table in a dining room with red walls and a brown floor",
    "a large red sofa in a living room with gray walls and a yellow floor",
)
"""Sentences like the captions of rendered scenes: an object, its room, the walls and the floor."""


@torch.no_grad()
def draw(folder: Path, captions: Sequence[str], size: int, draws: int) -> Tensor:
    """Draw several images per caption with diffusers alone and keep the one that the folder's CLIP finds most similar.

    Args:
        folder: in the diffusers layout, with an image encoder.
        captions: B sentences.
        size: side in pixels.
        draws: images per caption; their seeds are 0, 1, ...

    Returns:
        (B, 3, size, size) in [0, 1].
    """
    # imported here, because its import prints warnings about missing packages: see quiet_loading
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    text = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()
    image = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder", dtype=torch.float32).eval()
    sentences = F.normalize(text(input_ids=token_ids(pipeline.tokenizer, captions)).text_embeds, dim=-1)
    best = torch.full((len(captions),), -torch.inf)
    kept = torch.zeros(len(captions), 3, size, size)
    for seed in range(draws):
        drawn = pipeline(
            list(captions), height=size, width=size, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(seed), output_type="pt",
        ).images  # fmt: skip
        similar = (F.normalize(image(pixel_values=normalised(drawn)).image_embeds, dim=-1) * sentences).sum(-1)
        kept = torch.where((similar > best)[:, None, None, None], drawn, kept)
        best = torch.maximum(similar, best)
    return kept


def save_samples(out: Path, captions: Sequence[str], size: int, draws: int) -> None:
    """Write ``samples.png``, one image per caption in rows of four, and ``samples.txt``, the captions."""
    _save_grid(draw(out, captions, size, draws), 4, out / "samples.png")
    (out / "samples.txt").write_text("".join(f"{caption}\n" for caption in captions), encoding="utf-8")


@torch.no_grad()
def save_reconstructions(vae: Any, corpus: Corpus, out: Path) -> None:
    """Write ``reconstructions.png``: eight held-out images in a row, below them what the VAE makes of them."""
    indices = corpus.test[:8]
    images = ImageDataset(corpus.images, indices)
    originals = torch.stack([images[i] for i in range(len(images))])
    decoded = (vae.decode(encode_images(vae, corpus, indices)).sample + 1) / 2
    _save_grid(torch.cat([originals, decoded.clamp(0, 1)]), len(images), out / "reconstructions.png")


def _save_grid(images: Tensor, columns: int, file: Path) -> None:
    """Images (B, 3, S, S) in [0, 1], row by row."""
    pixels = (images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    rows = [np.concatenate(list(pixels[i : i + columns]), 1) for i in range(0, len(pixels), columns)]
    Image.fromarray(np.concatenate(rows)).save(file)
