"""Pretraining of a small latent diffusion model: CLIP's encoders, a VAE, a UNet, one after the other."""

from diffperc.pretraining.run import pretrain

__all__ = ["pretrain"]
