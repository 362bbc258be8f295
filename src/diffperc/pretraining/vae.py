"""Stage 2: an autoencoder from images to latents of an eighth of the size (Rombach et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from diffusers import AutoencoderKL
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional as F

from diffperc.pretraining.adamw_cosine import adamw_cosine
from diffperc.pretraining.cache import encode_images
from diffperc.pretraining.corpus import Corpus
from diffperc.pretraining.datasets import ImageDataset
from diffperc.pretraining.samples import save_reconstructions
from diffperc.pretraining.stage import fit_stage, tiny_config


class Autoencoder(L.LightningModule):
    """An `AutoencoderKL` trained on squared and absolute error, with a small KL term.

    Args:
        vae: config of diffusers' `AutoencoderKL`.
        lr: peak learning rate.
        kl_weight: of the KL divergence between latents and a normal distribution, 1e-6 in Stable Diffusion's; keeps
            latents from growing without bound.
    """

    monitor = ("val/psnr_db", "max")

    def __init__(self, vae: Mapping[str, Any], lr: float, kl_weight: float = 1e-6) -> None:
        super().__init__()
        self.vae = AutoencoderKL.from_config(dict(vae))
        self.lr, self.kl_weight = lr, kl_weight

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """The loss on images (B, 3, S, S) in [0, 1], decoded from a sample of their latents' distribution."""
        image = batch * 2 - 1
        latents = self.vae.encode(image).latent_dist
        loss = self.reconstruction_loss(latents.sample(), image) + self.kl_weight * latents.kl().mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def reconstruction_loss(self, latents: Tensor, image: Tensor) -> Tensor:
        """The error of the images that latents (B, 4, h, w) decode to; images (B, 3, S, S) in [-1, 1]."""
        decoded = self.vae.decode(latents).sample
        return F.mse_loss(decoded, image) + 0.1 * F.l1_loss(decoded, image)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Peak signal-to-noise ratio of images in [0, 1], decoded from the mean of their latents."""
        decoded = (self.vae.decode(self.vae.encode(batch * 2 - 1).latent_dist.mode()).sample + 1) / 2
        error = (decoded.clamp(0, 1) - batch).square().mean((1, 2, 3))
        self.log("val/psnr_db", (-10 * error.log10()).mean(), batch_size=len(batch))

    def configure_optimizers(self) -> Any:
        """See `adamw_cosine`."""
        return adamw_cosine(self, self.parameters(), self.lr, 0.0)


def train_vae(cfg: DictConfig, out: Path, corpus: Corpus) -> dict[str, float]:
    """Train the VAE, normalise its latents and write it to `out`; returns the metrics."""
    torch.manual_seed(cfg.seed)
    module = Autoencoder(tiny_config("vae"), cfg.vae.lr, cfg.vae.kl_weight)
    train = ImageDataset(corpus.images, corpus.train, cfg.vae.crop)
    figures = fit_stage(cfg, out, "vae", module, train, ImageDataset(corpus.images, corpus.test))
    vae = module.vae.eval()
    # about 512 images, evenly spaced
    subset = corpus.train[:: max(1, len(corpus.train) // 512)]
    to_unit_latents(vae, encode_images(vae, corpus, subset))
    vae.save_pretrained(out / "vae")
    (out / "stages" / "latents.pt").unlink(missing_ok=True)
    save_reconstructions(vae, corpus, out)
    return figures


@torch.no_grad()
def to_unit_latents(vae: Any, latents: Tensor) -> None:
    """Fold mean and standard deviation of latents (N, 4, h, w) into the VAE, so that its latents have 0 and 1.

    Then no scaling is needed between VAE and UNet, and strategies that do not scale latents give the UNet latents as it
    was trained on.
    """
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    channels = len(mean)
    quant, post = vae.quant_conv, vae.post_quant_conv
    # the bias of the decoder's side first, because it needs the weights as they are
    post.bias.add_(post.weight[:, :, 0, 0] @ mean)
    post.weight.mul_(std[None, :, None, None])
    quant.weight[:channels].div_(std[:, None, None, None])
    quant.bias[:channels].sub_(mean).div_(std)
    # the posterior's standard deviation shrinks by the same factor; the bias is that of a log variance
    quant.bias[channels:].sub_(2 * std.log())
