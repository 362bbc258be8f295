"""How depth is evaluated (methods.md 1.3, 2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from diffperc.errors import ConfigError
from diffperc.ranges import Count, Depth, Range, WholeNumber
from diffperc.types import Protocol


@dataclass(frozen=True, kw_only=True)
class DepthProtocol(Protocol):
    """Which pixels count, and how a whole image is predicted.

    Attributes:
        min_depth: metres; ground truth that is not above it is not counted.
        max_depth: metres; ground truth that is not below it is not counted.
        crop: (top, bottom, left, right) in pixels of an image of `crop_size`, bottom and right exclusive; ground truth of
            another size gets the same crop in proportion.
        crop_size: (height, width) for which `crop` was published.
        windows: how many square windows along the longer side are predicted and averaged where they overlap; 1
            predicts the whole image at once.
    """

    min_depth: Annotated[float, Range(0, 1e6)]
    max_depth: Depth
    crop: tuple[WholeNumber, WholeNumber, WholeNumber, WholeNumber] | None = None
    crop_size: tuple[Count, Count] | None = None
    windows: Count = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.min_depth < self.max_depth:
            raise ConfigError(
                f"task.protocol: min_depth={self.min_depth:g} must be less than max_depth={self.max_depth:g}."
            )
