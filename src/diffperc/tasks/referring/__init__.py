"""Task `referring`."""

from diffperc.tasks.referring.task import ReferringTask

__all__ = ["ReferringTask"]
