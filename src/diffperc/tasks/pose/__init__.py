"""Top-down human pose estimation (methods.md 2.3)."""

from diffperc.results.pose import Pose, PoseResult
from diffperc.tasks.pose.predictor import PosePredictor
from diffperc.tasks.pose.protocol import PoseProtocol
from diffperc.tasks.pose.task import PoseTask

__all__ = ["Pose", "PosePredictor", "PoseProtocol", "PoseResult", "PoseTask"]
