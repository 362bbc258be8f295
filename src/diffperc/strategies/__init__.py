"""Strategies: what conditions the UNet, how many passes it takes, and which maps the head gets."""

from diffperc.strategies.base import Strategy
from diffperc.strategies.ecodepth import ECoDepth
from diffperc.strategies.iedp import IEDP
from diffperc.strategies.latents import Latents
from diffperc.strategies.meta_prompts import MetaPrompts
from diffperc.strategies.tadp import TADP
from diffperc.strategies.unconditional import Unconditional
from diffperc.strategies.vpd import VPD

__all__ = ["IEDP", "TADP", "VPD", "ECoDepth", "Latents", "MetaPrompts", "Strategy", "Unconditional"]
