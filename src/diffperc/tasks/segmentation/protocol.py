"""How segmentation is evaluated (methods.md 1.1, 2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from diffperc.ranges import Count, OnlyWith, Positive
from diffperc.types import Protocol


@dataclass(frozen=True, kw_only=True)
class SegmentationProtocol(Protocol):
    """How whole images are segmented.

    Attributes:
        window: side in pixels of square windows whose logits are averaged where they overlap; None: the whole image.
        stride: pixels from one window to the next.
        ratios: scales of the image whose probabilities are averaged.
    """

    window: Count | None = None
    stride: Annotated[Count | None, OnlyWith("window")] = None
    ratios: tuple[Positive, ...] = (1.0,)
