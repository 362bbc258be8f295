"""Kinds of ground truth, one file each: how it is read, rendered, made a tensor, summarised and drawn."""

from diffperc.targets.depth import DepthTarget
from diffperc.targets.keypoints import KeypointsTarget
from diffperc.targets.mask import MaskTarget
from diffperc.targets.referent import ReferentTarget

__all__ = ["DepthTarget", "KeypointsTarget", "MaskTarget", "ReferentTarget"]
