"""Task `depth`."""

from diffperc.tasks.depth.task import DepthTask

__all__ = ["DepthTask"]
