"""Pictures of captions, drawn by a finished folder with diffusers alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from diffperc.encoders.clip_image import normalised
from diffperc.pretraining.clip import token_ids

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
"""Sentences like those about rendered scenes, of a thing, its room, the walls and the floor."""


@torch.no_grad()
def draw(folder: Path, captions: Sequence[str], size: int, draws: int) -> Tensor:
    """Of several pictures of each caption the one that is nearest to it by the folder's own text and image encoder.

    Args:
        folder: in the diffusers layout, with an image encoder.
        captions: B sentences.
        size: side in pixels.
        draws: pictures of each caption; seeds 0, 1, ...

    Returns:
        (B, 3, size, size) in [0, 1].
    """
    # here, as it says what it misses when it is imported: see quiet_loading
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    text = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()
    image = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder", dtype=torch.float32).eval()
    words = F.normalize(text(input_ids=token_ids(pipeline.tokenizer, captions)).text_embeds, dim=-1)
    best = torch.full((len(captions),), -torch.inf)
    kept = torch.zeros(len(captions), 3, size, size)
    for seed in range(draws):
        drawn = pipeline(
            list(captions), height=size, width=size, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(seed), output_type="pt",
        ).images  # fmt: skip
        near = (F.normalize(image(pixel_values=normalised(drawn)).image_embeds, dim=-1) * words).sum(-1)
        kept = torch.where((near > best)[:, None, None, None], drawn, kept)
        best = torch.maximum(near, best)
    return kept
