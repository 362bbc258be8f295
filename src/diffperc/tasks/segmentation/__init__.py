"""Semantic segmentation (methods.md 1.1, 2.2)."""

from diffperc.tasks.segmentation.predictor import SegmentationPredictor
from diffperc.tasks.segmentation.protocol import SegmentationProtocol
from diffperc.tasks.segmentation.task import SegmentationTask

__all__ = ["SegmentationPredictor", "SegmentationProtocol", "SegmentationTask"]
