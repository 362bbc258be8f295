"""Data sets and what lies between them and a batch. Imports no Lightning.

Names are imported when they are first used: the scripts that prepare data need no torch to say what is missing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffperc.data.ade20k import ADE20K
    from diffperc.data.augment import ClassLimitedCrop, PhotometricDistortion, RandomRatioResize, VerticalCutDepth
    from diffperc.data.base import PerceptionDataset, Sample
    from diffperc.data.camvid import CamVid
    from diffperc.data.cityscapes import Cityscapes
    from diffperc.data.coco_pose import COCOPose
    from diffperc.data.embedded import Scenes
    from diffperc.data.kitti import KITTI
    from diffperc.data.nyuv2 import NYUv2
    from diffperc.data.person import PersonCrop
    from diffperc.data.pipeline import Prepared, collate
    from diffperc.data.refcoco import RefCOCO
    from diffperc.data.sampler import Draw, SeededSampler

__all__ = [
    "ADE20K",
    "KITTI",
    "COCOPose",
    "CamVid",
    "Cityscapes",
    "ClassLimitedCrop",
    "Draw",
    "NYUv2",
    "PerceptionDataset",
    "PersonCrop",
    "PhotometricDistortion",
    "Prepared",
    "RandomRatioResize",
    "RefCOCO",
    "Sample",
    "Scenes",
    "SeededSampler",
    "VerticalCutDepth",
    "collate",
]

_HOMES = {
    "ADE20K": "ade20k",
    "ClassLimitedCrop": "augment",
    "PhotometricDistortion": "augment",
    "RandomRatioResize": "augment",
    "VerticalCutDepth": "augment",
    "PerceptionDataset": "base",
    "Sample": "base",
    "CamVid": "camvid",
    "Cityscapes": "cityscapes",
    "COCOPose": "coco_pose",
    "Scenes": "embedded",
    "KITTI": "kitti",
    "NYUv2": "nyuv2",
    "PersonCrop": "person",
    "Prepared": "pipeline",
    "collate": "pipeline",
    "RefCOCO": "refcoco",
    "Draw": "sampler",
    "SeededSampler": "sampler",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"diffperc.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'diffperc.data' has no attribute {name!r}")
