"""Heads: from features to a task's raw output."""

from diffperc.heads.base import Auxiliary, Head
from diffperc.heads.deconv import DeconvHead
from diffperc.heads.fpn import FPNHead
from diffperc.heads.refine import RefineHead
from diffperc.heads.upernet import UPerHead

__all__ = ["Auxiliary", "DeconvHead", "FPNHead", "Head", "RefineHead", "UPerHead"]
