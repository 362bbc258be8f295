"""Evaluation metrics, each a torchmetrics `Metric`."""

from diffperc.metrics.depth import DepthMetrics
from diffperc.metrics.keypoints import KeypointMetrics
from diffperc.metrics.referring import ReferringMetrics
from diffperc.metrics.segmentation import SegmentationMetrics

__all__ = ["DepthMetrics", "KeypointMetrics", "ReferringMetrics", "SegmentationMetrics"]
