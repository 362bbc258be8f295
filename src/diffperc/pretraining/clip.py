"""Stage 1: a text and an image encoder that match each image with its caption (Radford et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from diffperc.encoders import merges_of, token_config, train_tokenizer
from diffperc.encoders.clip_image import normalised
from diffperc.errors import ConfigError
from diffperc.pretraining.adamw_cosine import adamw_cosine
from diffperc.pretraining.corpus import Corpus
from diffperc.pretraining.datasets import ImageDataset, PairDataset
from diffperc.pretraining.stage import fit_stage, tiny_config
from diffperc.weights.architecture import config_folder


class Contrastive(L.LightningModule):
    """Both encoders of CLIP, trained together.

    Args:
        text: config of transformers' `CLIPTextModelWithProjection`.
        image: config of transformers' `CLIPVisionModelWithProjection`.
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
        """Images (B, 3, S, S) in [0, 1] and token ids (B, N) to unit vectors (B, P) each."""
        image = self.image(pixel_values=normalised(pixels)).image_embeds
        text = self.text(input_ids=ids).text_embeds
        return F.normalize(image, dim=-1), F.normalize(text, dim=-1)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy of the right partner, from images to captions and back."""
        image, text = self(*batch)
        logits = similarity(self.scale.exp().clamp(max=100) * image, text)
        right = torch.arange(len(logits), device=logits.device)
        loss = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Share of the images whose caption is the most similar one of the batch, and the reverse."""
        image, text = self(*batch)
        similar = similarity(image, text)
        right = torch.arange(len(similar), device=similar.device)
        self.log("val/retrieval", (similar.argmax(1) == right).float().mean(), batch_size=len(right))
        self.log("val/retrieval_of_pictures", (similar.argmax(0) == right).float().mean(), batch_size=len(right))

    def configure_optimizers(self) -> Any:
        """See `adamw_cosine`."""
        return adamw_cosine(self, self.parameters(), self.lr, self.weight_decay)


def similarity(image: Tensor, text: Tensor) -> Tensor:
    """Dot products (B, B) of vectors (B, P), in float32 also under autocast."""
    with torch.autocast(image.device.type, enabled=False):
        return image.float() @ text.float().T


def token_ids(tokenizer: Any, captions: Sequence[str], length: int = 77) -> Tensor:
    """(B, N) ids, padded as Stable Diffusion's pipeline pads."""
    ids: Tensor = tokenizer(
        list(captions), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )["input_ids"]
    return ids


def train_clip(cfg: DictConfig, out: Path, corpus: Corpus) -> dict[str, float]:
    """Train both encoders and write them to `out`, with the tokenizer; returns the metrics."""
    tokenizer = _tokenizer(cfg, out, corpus)
    ids = token_ids(tokenizer, corpus.captions)
    # no token attends to what comes after it, so padding behind the longest caption changes nothing
    ids = ids[:, : int((ids != tokenizer.pad_token_id).sum(1).max()) + 1]
    images = ImageDataset(corpus.images, corpus.everything)
    torch.manual_seed(cfg.seed)
    module = Contrastive(
        tiny_config("text_encoder") | token_config(tokenizer),
        tiny_config("image_encoder") | {"image_size": cfg.size},
        cfg.clip.lr,
        cfg.clip.weight_decay,
    )
    train, test = PairDataset(images, ids, corpus.train), PairDataset(images, ids, corpus.test)
    figures = fit_stage(cfg, out, "clip", module, train, test)
    module.text.save_pretrained(out / "text_encoder")
    module.image.save_pretrained(out / "image_encoder")
    (out / "stages" / "tokens.pt").unlink(missing_ok=True)
    return figures


def _tokenizer(cfg: DictConfig, out: Path, corpus: Corpus) -> CLIPTokenizer:
    """A tokenizer trained on the training captions, or for rendered scenes the packaged one; also written to `out`.

    Raises:
        ConfigError: the text encoder in `out`, which would be resumed, has other tokens.
    """
    if cfg.images is None:
        tokenizer = CLIPTokenizer.from_pretrained(str(config_folder("tiny") / "tokenizer"))
    else:
        tokenizer = train_tokenizer((corpus.captions[i] for i in corpus.train), cfg.clip.merges)
    folder = out / "tokenizer"
    if (out / "stages/clip/last.ckpt").is_file() and folder.is_dir():
        first = CLIPTokenizer.from_pretrained(str(folder))
        if merges_of(first) != merges_of(tokenizer):
            raise ConfigError(
                f"images={cfg.images} with clip.merges={cfg.clip.merges} gives {len(tokenizer)} tokens; the text encoder in "
                f"{out} was begun with others, {len(first)}. Set images and clip.merges as they were, or another out."
            )
    tokenizer.save_pretrained(str(folder))
    return tokenizer
