"""The contracts between the parts, as frozen dataclasses whose shapes are checked where they are built."""

from diffperc.types.data import (
    Batch,
    Branch,
    Conditioning,
    DatasetInfo,
    Extra,
    Features,
    FeatureSpec,
    Person,
    Prediction,
    SampleMeta,
    TextSpec,
)
from diffperc.types.keypoints import COCO_KEYPOINTS, KeypointSpec

__all__ = [
    "COCO_KEYPOINTS",
    "Batch",
    "Branch",
    "Conditioning",
    "DatasetInfo",
    "Extra",
    "FeatureSpec",
    "Features",
    "KeypointSpec",
    "Person",
    "Prediction",
    "SampleMeta",
    "TextSpec",
]
