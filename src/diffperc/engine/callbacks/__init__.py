"""Lightning callbacks."""

from diffperc.engine.callbacks.cost_monitor import Cost
from diffperc.engine.callbacks.emergency_checkpoint import Rescue
from diffperc.engine.callbacks.figures import Figures
from diffperc.engine.callbacks.progress import PlainProgress, RichProgress

__all__ = ["Cost", "Figures", "PlainProgress", "Rescue", "RichProgress"]
