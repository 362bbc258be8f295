"""Surface normal estimation: the unit vector in which each visible surface faces."""

from diffperc.tasks.normals.predictor import NormalsPredictor
from diffperc.tasks.normals.protocol import NormalsProtocol
from diffperc.tasks.normals.task import NormalsTask

__all__ = ["NormalsPredictor", "NormalsProtocol", "NormalsTask"]
