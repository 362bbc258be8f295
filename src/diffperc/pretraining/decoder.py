"""Stage 4: the VAE's decoder alone, on the latents of its frozen encoder, so that a UNet can be trained meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from diffperc.pretraining.adamw_cosine import adamw_cosine
from diffperc.pretraining.cache import cached_latents
from diffperc.pretraining.corpus import Corpus
from diffperc.pretraining.datasets import ImageDataset, PairDataset
from diffperc.pretraining.samples import save_reconstructions
from diffperc.pretraining.stage import fit_stage
from diffperc.pretraining.vae import Autoencoder


class DecoderTraining(Autoencoder):
    """The decoder is trained, the encoder frozen.

    Args:
        vae: config of a trained `AutoencoderKL`.
        state: its tensors.
        lr: peak learning rate.
    """

    def __init__(self, vae: Mapping[str, Any], state: Mapping[str, Tensor], lr: float) -> None:
        super().__init__(vae, lr)
        self.vae.load_state_dict(state)
        self.vae.encoder.requires_grad_(False)
        self.vae.quant_conv.requires_grad_(False)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:  # type: ignore[override]
        """The loss on latents (B, 4, h, w) and their whole images (B, 3, S, S) in [0, 1]."""
        loss = self.reconstruction_loss(batch[0], batch[1] * 2 - 1)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """See `adamw_cosine`."""
        return adamw_cosine(self, [p for p in self.parameters() if p.requires_grad], self.lr, 0.0)


def train_decoder(cfg: DictConfig, out: Path, corpus: Corpus) -> dict[str, float]:
    """Train the decoder of the VAE in `out` and write the VAE back; returns the metrics.

    The latents stay as they are, so another process may train the UNet on them at the same time.
    """
    vae, latents = cached_latents(out, corpus)
    torch.manual_seed(cfg.seed)
    module = DecoderTraining(vae.config, vae.state_dict(), cfg.decoder.lr)
    train = PairDataset(latents, ImageDataset(corpus.images, corpus.everything), corpus.train)
    figures = fit_stage(cfg, out, "decoder", module, train, ImageDataset(corpus.images, corpus.test))
    module.vae.eval().save_pretrained(out / "vae")
    save_reconstructions(module.vae, corpus, out)
    return figures
