"""Heads: from features to a task's raw output."""

from diffperc.heads.base import Head
from diffperc.heads.deconv import DeconvHead

__all__ = ["DeconvHead", "Head"]
