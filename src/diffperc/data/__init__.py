"""Data sets and what lies between them and a batch. Imports no Lightning."""

from diffperc.data.base import PerceptionDataset, Sample
from diffperc.data.embedded import Scenes
from diffperc.data.nyuv2 import NYUv2
from diffperc.data.pipeline import Prepared, collate
from diffperc.data.sampler import Draw, SeededSampler

__all__ = ["Draw", "NYUv2", "PerceptionDataset", "Prepared", "Sample", "Scenes", "SeededSampler", "collate"]
