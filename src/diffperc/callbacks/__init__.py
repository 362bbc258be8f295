"""Lightning callbacks."""

from diffperc.callbacks.cost import Cost
from diffperc.callbacks.figures import Figures
from diffperc.callbacks.progress import PlainProgress, RichProgress
from diffperc.callbacks.rescue import Rescue

__all__ = ["Cost", "Figures", "PlainProgress", "Rescue", "RichProgress"]
