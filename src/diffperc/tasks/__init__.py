"""Tasks as LightningModules: loss, metrics, evaluation protocol, figures."""

from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.datamodule import PerceptionData
from diffperc.tasks.depth import DepthTask
from diffperc.tasks.optim import AdamW, PowerOneCycle, Rule

__all__ = ["AdamW", "DepthTask", "PerceptionData", "PerceptionTask", "PowerOneCycle", "Rule"]
