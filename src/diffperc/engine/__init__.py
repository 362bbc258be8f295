"""Training and evaluation: from a configuration to objects, loaders, optimiser and Trainer."""

from diffperc.engine.datamodule import PerceptionData
from diffperc.engine.optimizer import AdamW, Poly, PowerOneCycle, Rule

__all__ = ["AdamW", "PerceptionData", "Poly", "PowerOneCycle", "Rule"]
