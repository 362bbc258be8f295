"""The names of `diffperc.data`, in a module of their own because it takes seconds to import."""

from diffperc.data.ade20k import ADE20K
from diffperc.data.augment import ClassLimitedCrop, PhotometricDistortion, RandomRatioResize, VerticalCutDepth
from diffperc.data.base import PerceptionDataset, Sample
from diffperc.data.camvid import CamVid
from diffperc.data.cityscapes import Cityscapes
from diffperc.data.coco_pose import COCOPose
from diffperc.data.embedded import Scenes
from diffperc.data.folder import Folder
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
    "Folder",
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
