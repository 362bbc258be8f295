"""Stage 3: a UNet that removes noise from latents, given the caption (Ho et al. 2020, Rombach et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional as F

from diffperc.pretraining.adamw_cosine import adamw_cosine
from diffperc.pretraining.cache import cached_latents, cached_tokens
from diffperc.pretraining.corpus import Corpus
from diffperc.pretraining.datasets import PairDataset
from diffperc.pretraining.folder import complete_folder
from diffperc.pretraining.samples import CAPTIONS, save_samples
from diffperc.pretraining.stage import fit_stage, tiny_config

# Stable Diffusion 1.5's, with the output of 2.1: the velocity sqrt(a) noise - sqrt(1 - a) latents (Salimans and Ho 2022).
# The noise follows from it. A small UNet that predicts the noise itself spends its capacity on copying it: after 4,000 steps
# its error at timestep 950, which decides an image's layout, was 0.0101, and that of the unchanged noisy latents 0.0083.
_NOISE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "prediction_type": "v_prediction",
}
SCHEDULE: dict[str, Any] = {**_NOISE, "steps_offset": 1, "set_alpha_to_one": False}
"""The fields of diffusers' `DDIMScheduler`, for sampling."""


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
        self.schedule = DDPMScheduler(**_NOISE)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss on latents (B, 4, h, w) of standard deviation 1 and their captions' tokens (B, N, D)."""
        latents, tokens = batch[0], batch[1].to(batch[0])  # the cache keeps tokens in half precision
        dropped = torch.rand(len(latents), device=self.device) < self.caption_dropout
        tokens = torch.where(dropped[:, None, None], self.empty, tokens)
        # a third of the training is below timestep 100, because perception feeds latents with hardly any noise
        timestep = (1000 * torch.rand(len(latents), device=self.device).square()).long()
        loss = self._error(latents, tokens, timestep, torch.randn_like(latents)).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """The error with the captions, with none and with those of other images; noise and timesteps are always the same.

        ``loss`` is the squared error of the velocity, ``loss_high_noise`` that at timesteps of 800 and more, which decide
        the layout, and ``noise`` that of the noise which follows from the velocity. A UNet that was trained without
        captions is validated without them alone.
        """
        latents, tokens = batch[0], batch[1].to(batch[0])
        generator = torch.Generator().manual_seed(batch_idx)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        timestep = torch.linspace(999, 1, len(latents), device=self.device).long()
        kept = self.schedule.alphas_cumprod.to(self.device)[timestep]
        empty = self.empty.expand_as(tokens)
        conditions = {"": tokens, "_without_caption": empty, "_other_caption": tokens.roll(1, 0)}
        if self.caption_dropout >= 1:
            conditions = {"": empty}
        for suffix, condition in conditions.items():
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
        """Mean squared error (B,) of the velocity."""
        noisy = self.schedule.add_noise(latents, noise, timestep)
        predicted = self.unet(noisy, timestep, tokens).sample
        velocity = self.schedule.get_velocity(latents, noise, timestep)
        return F.mse_loss(predicted, velocity, reduction="none").mean((1, 2, 3))

    def configure_optimizers(self) -> Any:
        """See `adamw_cosine`."""
        return adamw_cosine(self, self.unet.parameters(), self.lr, self.weight_decay)


def train_unet(cfg: DictConfig, out: Path, corpus: Corpus) -> dict[str, float]:
    """Train the UNet and complete the diffusers folder `out` with it; then the control, where it is asked for.

    Returns:
        The metrics of both.
    """
    _, latents = cached_latents(out, corpus)
    tokens, empty = cached_tokens(out, corpus.captions)
    train, test = PairDataset(latents, tokens, corpus.train), PairDataset(latents, tokens, corpus.test)
    dropouts = {"unet": cfg.unet.caption_dropout}
    if cfg.unet.control:
        dropouts["unet_control"] = 1.0
    figures: dict[str, float] = {}
    for name, dropout in dropouts.items():
        torch.manual_seed(cfg.seed)
        module = Denoiser(tiny_config("unet"), empty, cfg.unet.lr, cfg.unet.weight_decay, dropout)
        metrics = fit_stage(cfg, out, name, module, train, test)
        figures |= {metric.replace("val/", f"val/{name}_"): value for metric, value in metrics.items()}
        if name == "unet":
            module.unet.eval().save_pretrained(out / "unet")
            complete_folder(out, SCHEDULE)
            save_samples(out, _sample_captions(cfg, corpus), corpus.images.shape[1], cfg.unet.draws)
    return figures


def _sample_captions(cfg: DictConfig, corpus: Corpus) -> Sequence[str]:
    """16 sentences about rooms for rendered scenes, else the 16 shortest held-out captions."""
    if cfg.images is None:
        return CAPTIONS
    held_out = [corpus.captions[i] for i in corpus.test]
    return sorted(held_out, key=lambda caption: len(caption.split()))[:16]
