"""Stage 1: text and image encoder that know which sentence is about which picture (Radford et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

from diffperc.encoders.clip_image import normalised
from diffperc.pretraining.optim import adamw_cosine

Tokens = Mapping[str, Tensor]


class Contrastive(L.LightningModule):
    """Both encoders of CLIP, trained together.

    Args:
        text, image: configs of transformers' `CLIPTextModelWithProjection` and `CLIPVisionModelWithProjection`.
        lr: peak learning rate.
        weight_decay: of all parameters.
    """

    monitor = ("val/retrieval", "max")

    def __init__(self, text: Mapping[str, Any], image: Mapping[str, Any], lr: float, weight_decay: float) -> None:
        super().__init__()
        self.text = CLIPTextModelWithProjection(CLIPTextConfig.from_dict(dict(text)))
        self.image = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(dict(image)))
        self.scale = nn.Parameter(torch.tensor(1 / 0.07).log())
        self.lr, self.weight_decay = lr, weight_decay

    def forward(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, S, S) in [0, 1] and token ids (B, N) to unit vectors (B, P) each."""
        image = self.image(pixel_values=normalised(pixels)).image_embeds
        text = self.text(input_ids=ids).text_embeds
        return F.normalize(image, dim=-1), F.normalize(text, dim=-1)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy of the right partner, from pictures to sentences and back."""
        image, text = self(*batch)
        logits = self.scale.exp().clamp(max=100) * image @ text.T
        right = torch.arange(len(logits), device=logits.device)
        loss = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Share of the pictures whose sentence is the best among those of the batch."""
        image, text = self(*batch)
        similar = image @ text.T
        right = torch.arange(len(similar), device=similar.device)
        self.log("val/retrieval", (similar.argmax(1) == right).float().mean(), batch_size=len(right))
        self.log("val/retrieval_of_pictures", (similar.argmax(0) == right).float().mean(), batch_size=len(right))

    def configure_optimizers(self) -> Any:
        """AdamW, warmed up, then a cosine to zero."""
        return adamw_cosine(self, self.parameters(), self.lr, self.weight_decay)


def token_ids(tokenizer: Any, captions: Sequence[str], length: int = 77) -> Tensor:
    """(B, N) ids, padded as Stable Diffusion's pipeline pads."""
    ids: Tensor = tokenizer(
        list(captions), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )["input_ids"]
    return ids
