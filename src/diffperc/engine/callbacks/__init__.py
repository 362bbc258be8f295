"""Lightning callbacks."""

from diffperc.engine.callbacks.best_and_last import BEST, LAST, BestAndLast
from diffperc.engine.callbacks.checkpointing import Checkpointing
from diffperc.engine.callbacks.cost_monitor import CostMonitor
from diffperc.engine.callbacks.end_at_once import EndAtOnce
from diffperc.engine.callbacks.end_together import EndTogether
from diffperc.engine.callbacks.exact_resume import ExactResume
from diffperc.engine.callbacks.figures import Figures
from diffperc.engine.callbacks.progress import PlainProgress, RichProgress
from diffperc.engine.callbacks.step_in_backward import StepInBackward
from diffperc.engine.callbacks.weight_average import WeightAverage

__all__ = [
    "BEST",
    "LAST",
    "BestAndLast",
    "Checkpointing",
    "CostMonitor",
    "EndAtOnce",
    "EndTogether",
    "ExactResume",
    "Figures",
    "PlainProgress",
    "RichProgress",
    "StepInBackward",
    "WeightAverage",
]
