"""Task `segmentation`."""

from diffperc.tasks.segmentation.task import SegmentationTask

__all__ = ["SegmentationTask"]
