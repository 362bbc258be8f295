"""What is done to an image before the network sees it: resizing, the crop of a person, augmentation."""

from diffperc.preprocessing.augment import (
    ClassLimitedCrop,
    PhotometricDistortion,
    RandomRatioResize,
    VerticalCutDepth,
)
from diffperc.preprocessing.person_crop import PersonCrop

__all__ = ["ClassLimitedCrop", "PersonCrop", "PhotometricDistortion", "RandomRatioResize", "VerticalCutDepth"]
