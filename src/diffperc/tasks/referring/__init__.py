"""Referring image segmentation: the mask of what a sentence names (methods.md 1.2)."""

from diffperc.tasks.referring.predictor import ReferringPredictor
from diffperc.tasks.referring.protocol import ReferringProtocol
from diffperc.tasks.referring.task import ReferringTask

__all__ = ["ReferringPredictor", "ReferringProtocol", "ReferringTask"]
