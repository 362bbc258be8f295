"""Backbones: a frozen VAE and a UNet as feature extractor. Importable without Lightning or Hydra."""

from diffperc.backbones.base import Backbone
from diffperc.backbones.stable_diffusion import StableDiffusionBackbone

__all__ = ["Backbone", "StableDiffusionBackbone"]
