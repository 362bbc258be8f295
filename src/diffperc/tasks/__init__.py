"""Tasks as LightningModules, a folder each: loss, metrics, evaluation protocol, figures."""

from diffperc.tasks.base import PerceptionTask

__all__ = ["PerceptionTask"]
