"""Training and evaluation: from a configuration to objects, loaders, optimiser and Trainer."""

from diffperc.engine.datamodule import PerceptionData
from diffperc.engine.optimizer import OptimizerRecipe, Poly, PowerOneCycle, Rule

__all__ = ["OptimizerRecipe", "PerceptionData", "Poly", "PowerOneCycle", "Rule"]
