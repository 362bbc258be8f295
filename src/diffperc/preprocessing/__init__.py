"""What is done to an image before the network sees it: resizing, cropping persons, augmentation."""

from diffperc.preprocessing.augment import (
    ClassLimitedCrop,
    PhotometricDistortion,
    RandomRatioResize,
    VerticalCutDepth,
)
from diffperc.preprocessing.person_crop import PersonCrop
from diffperc.preprocessing.preprocess import Augmentation, Preprocess, image_tensor

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
