"""Tasks as LightningModules: loss, metrics, evaluation protocol, figures."""

from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.datamodule import PerceptionData
from diffperc.tasks.depth import DepthTask
from diffperc.tasks.optim import AdamW, Poly, PowerOneCycle, Rule
from diffperc.tasks.pose import PoseTask
from diffperc.tasks.referring import ReferringTask
from diffperc.tasks.segmentation import SegmentationTask

__all__ = [
    "AdamW",
    "DepthTask",
    "PerceptionData",
    "PerceptionTask",
    "Poly",
    "PoseTask",
    "PowerOneCycle",
    "ReferringTask",
    "Rule",
    "SegmentationTask",
]
