"""The contracts between the parts, as frozen dataclasses whose shapes are checked where they are built."""

from diffperc.types.data import Batch, DatasetInfo, Person, Sample, SampleMeta, TextSpec
from diffperc.types.features import Branch, Conditioning, Extra, Features, FeatureSpec, Prediction
from diffperc.types.keypoints import COCO_KEYPOINTS, KeypointSpec
from diffperc.types.protocol import Protocol
from diffperc.types.target import (
    DenseTarget,
    FolderOptions,
    FolderReader,
    Panel,
    Picture,
    SampleKind,
    Statistics,
    Target,
)

__all__ = [
    "COCO_KEYPOINTS",
    "Batch",
    "Branch",
    "Conditioning",
    "DatasetInfo",
    "DenseTarget",
    "Extra",
    "FeatureSpec",
    "Features",
    "FolderOptions",
    "FolderReader",
    "KeypointSpec",
    "Panel",
    "Person",
    "Picture",
    "Prediction",
    "Protocol",
    "Sample",
    "SampleKind",
    "SampleMeta",
    "Statistics",
    "Target",
    "TextSpec",
]
