"""Stage 3: what of noisy latents is noise, from them and the caption (Ho et al. 2020, Rombach et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F

from diffperc.pretraining.optim import adamw_cosine

# Stable Diffusion 1.5's, with the output of 2.1: the velocity sqrt(a) noise - sqrt(1 - a) latents (Salimans and Ho 2022).
# The noise follows from it; but a small UNet that must give the noise itself spends itself on copying it: after 4,000 steps
# its error at timestep 950, which settles a picture's layout, was 0.0101, and that of the noisy latents as they are 0.0083
SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "prediction_type": "v_prediction",
    "steps_offset": 1,
    "set_alpha_to_one": False,
}


class Denoiser(L.LightningModule):
    """A `UNet2DConditionModel` that predicts the velocity, from which the noise follows.

    Args:
        unet: its config.
        empty: (N, D) tokens of the empty sentence, which stand in for dropped captions.
        lr: peak learning rate.
        weight_decay: of all parameters.
        caption_dropout: probability that a caption is dropped, for classifier-free guidance; 1: unconditional, the control.
    """

    monitor = ("val/loss", "min")
    empty: Tensor

    def __init__(
        self, unet: Mapping[str, Any], empty: Tensor, lr: float, weight_decay: float, caption_dropout: float
    ) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel.from_config(dict(unet))
        self.register_buffer("empty", empty)
        self.lr, self.weight_decay, self.caption_dropout = lr, weight_decay, caption_dropout
        train = {k: v for k, v in SCHEDULE.items() if k not in ("steps_offset", "set_alpha_to_one")}
        self.schedule = DDPMScheduler(**train)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Latents (B, 4, h, w) of deviation 1 and their captions' tokens (B, N, D)."""
        latents, tokens = batch[0], batch[1].to(batch[0])  # a cache keeps tokens in half precision
        dropped = torch.rand(len(latents), device=self.device) < self.caption_dropout
        tokens = torch.where(dropped[:, None, None], self.empty, tokens)
        # a third of the training is below timestep 100, as perception looks at latents of hardly any noise
        timestep = (1000 * torch.rand(len(latents), device=self.device).square()).long()
        loss = self._error(latents, tokens, timestep, torch.randn_like(latents)).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """The same noise and timesteps every time; with captions, unless none were trained on, without, and with others'.

        ``loss`` is the squared error of the velocity, ``loss_high_noise`` that at timesteps of 800 and more, which settle
        what is where, and ``noise`` that of the noise which follows from it.
        """
        latents, tokens = batch[0], batch[1].to(batch[0])
        generator = torch.Generator().manual_seed(batch_idx)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        timestep = torch.linspace(999, 1, len(latents), device=self.device).long()
        kept = self.schedule.alphas_cumprod.to(self.device)[timestep]
        empty = self.empty.expand_as(tokens)
        given = {"": tokens, "_without_caption": empty, "_other_caption": tokens.roll(1, 0)}
        for suffix, condition in given.items() if self.caption_dropout < 1 else [("", empty)]:
            error = self._error(latents, condition, timestep, noise)
            self.log_dict(
                {
                    f"val/loss{suffix}": error.mean(),
                    f"val/loss_high_noise{suffix}": error[timestep >= 800].mean(),
                    f"val/noise{suffix}": (kept * error).mean(),
                },
                batch_size=len(latents),
            )

    def _error(self, latents: Tensor, tokens: Tensor, timestep: Tensor, noise: Tensor) -> Tensor:
        noisy = self.schedule.add_noise(latents, noise, timestep)
        found = self.unet(noisy, timestep, tokens).sample
        velocity = self.schedule.get_velocity(latents, noise, timestep)
        return F.mse_loss(found, velocity, reduction="none").mean((1, 2, 3))

    def configure_optimizers(self) -> Any:
        """AdamW, warmed up, then a cosine to zero."""
        return adamw_cosine(self, self.unet.parameters(), self.lr, self.weight_decay)
