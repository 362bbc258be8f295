"""Data sets, and everything between them and a batch. Imports no Lightning."""

from diffperc.data.base import PerceptionDataset
from diffperc.data.datasets.ade20k import ADE20K
from diffperc.data.datasets.camvid import CamVid
from diffperc.data.datasets.cityscapes import Cityscapes
from diffperc.data.datasets.coco_pose import COCOPose
from diffperc.data.datasets.folder import Folder
from diffperc.data.datasets.kitti import KITTI
from diffperc.data.datasets.nyuv2 import NYUv2
from diffperc.data.datasets.refcoco import RefCOCO
from diffperc.data.datasets.scenes import Scenes
from diffperc.data.pipeline import PreparedDataset, collate
from diffperc.data.sampler import Draw, ResumableLoader, SeededSampler

__all__ = [
    "ADE20K",
    "KITTI",
    "COCOPose",
    "CamVid",
    "Cityscapes",
    "Draw",
    "Folder",
    "NYUv2",
    "PerceptionDataset",
    "PreparedDataset",
    "RefCOCO",
    "ResumableLoader",
    "Scenes",
    "SeededSampler",
    "collate",
]
