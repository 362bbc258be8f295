"""Pretraining of a small latent diffusion model in stages: CLIP's encoders, a VAE, a UNet, the VAE's decoder."""

from diffperc.pretraining.run import pretrain

__all__ = ["pretrain"]
