"""Evaluation metrics, each a torchmetrics `Metric`."""

from diffperc.metrics.depth import DepthMetrics

__all__ = ["DepthMetrics"]
