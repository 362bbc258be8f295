"""Stage 2: pictures to latents an eighth of the size and back (Rombach et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from diffperc.pretraining.optim import adamw_cosine


class Autoencoder(L.LightningModule):
    """An `AutoencoderKL` trained on squared error, with a faint pull of the latents to a normal distribution.

    Args:
        vae: config of diffusers' `AutoencoderKL`.
        lr: peak learning rate.
        kl_weight: of the pull, 1e-6 in Stable Diffusion's; keeps latents from growing without bound.
    """

    monitor = ("val/psnr_db", "max")

    def __init__(self, vae: Mapping[str, Any], lr: float, kl_weight: float = 1e-6) -> None:
        super().__init__()
        self.vae = AutoencoderKL.from_config(dict(vae))
        self.lr, self.kl_weight = lr, kl_weight

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Pictures (B, 3, S, S) in [0, 1], drawn from latents with their noise."""
        image = batch * 2 - 1
        latents = self.vae.encode(image).latent_dist
        loss = self._error(latents.sample(), image) + self.kl_weight * latents.kl().mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def _error(self, latents: Tensor, image: Tensor) -> Tensor:
        found = self.vae.decode(latents).sample
        return F.mse_loss(found, image) + 0.1 * F.l1_loss(found, image)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Peak signal-to-noise ratio of pictures in [0, 1], decoded from the mean of their latents."""
        found = (self.vae.decode(self.vae.encode(batch * 2 - 1).latent_dist.mode()).sample + 1) / 2
        error = (found.clamp(0, 1) - batch).square().mean((1, 2, 3))
        self.log("val/psnr_db", (-10 * error.log10()).mean(), batch_size=len(batch))

    def configure_optimizers(self) -> Any:
        """AdamW, warmed up, then a cosine to zero."""
        return adamw_cosine(self, self.parameters(), self.lr, 0.0)


class Decoding(Autoencoder):
    """The decoder alone, on latents that stay as they are, so that a UNet can learn them meanwhile.

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
        """Latents (B, 4, h, w) and their whole pictures (B, 3, S, S) in [0, 1]."""
        loss = self._error(batch[0], batch[1] * 2 - 1)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """As for both halves."""
        return adamw_cosine(self, [p for p in self.parameters() if p.requires_grad], self.lr, 0.0)


@torch.no_grad()
def to_unit_latents(vae: Any, latents: Tensor) -> None:
    """Fold mean and deviation of latents (N, 4, h, w) into the VAE, so that those it gives have 0 and 1.

    Then no scaling is needed between VAE and UNet, and strategies that feed latents unscaled feed what the UNet knows.
    """
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    channels = len(mean)
    quant, post = vae.quant_conv, vae.post_quant_conv
    # back first, with the weights as they are
    post.bias.add_(post.weight[:, :, 0, 0] @ mean)
    post.weight.mul_(deviation[None, :, None, None])
    quant.weight[:channels].div_(deviation[:, None, None, None])
    quant.bias[:channels].sub_(mean).div_(deviation)
    # the log variance of the noise shrinks with the mean
    quant.bias[channels:].sub_(2 * deviation.log())
