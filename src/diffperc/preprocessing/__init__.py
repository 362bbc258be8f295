"""What is done to an image before the network sees it: resizing, cropping persons, augmentation."""

from diffperc.geometry.person_crop import PersonCrop
from diffperc.preprocessing.augment import (
    ClassLimitedCrop,
    PhotometricDistortion,
    RandomRatioResize,
    VerticalCutDepth,
)
from diffperc.preprocessing.preprocess import Augmentation, Preprocess
from diffperc.preprocessing.tensor import image_tensor

__all__ = [
    "Augmentation",
    "ClassLimitedCrop",
    "PersonCrop",
    "PhotometricDistortion",
    "Preprocess",
    "RandomRatioResize",
    "VerticalCutDepth",
    "image_tensor",
]
