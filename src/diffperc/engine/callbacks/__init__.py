"""Lightning callbacks."""

from diffperc.engine.callbacks.cost_monitor import CostMonitor
from diffperc.engine.callbacks.emergency_checkpoint import EmergencyCheckpoint
from diffperc.engine.callbacks.figures import Figures
from diffperc.engine.callbacks.progress import PlainProgress, RichProgress

__all__ = ["CostMonitor", "EmergencyCheckpoint", "Figures", "PlainProgress", "RichProgress"]
