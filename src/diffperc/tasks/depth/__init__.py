"""Metric depth estimation (methods.md 1.3, 2.1)."""

from diffperc.tasks.depth.predictor import DepthPredictor
from diffperc.tasks.depth.protocol import DepthProtocol
from diffperc.tasks.depth.task import DepthTask

__all__ = ["DepthPredictor", "DepthProtocol", "DepthTask"]
