"""Task `pose`."""

from diffperc.tasks.pose.task import PoseTask

__all__ = ["PoseTask"]
