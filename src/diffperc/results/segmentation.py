"""Predicted classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffperc.files.write import write_file, write_picture
from diffperc.results.base import Result
from diffperc.results.certainty import certainty
from diffperc.types import Picture
from diffperc.visualization.colours import Legend, class_colours
from diffperc.visualization.overlays import class_shares, legend_of, overlay

_NAMED = 4  # classes in the summary


@dataclass(frozen=True)
class SegmentationFound:
    """The class of each id, and the share of the pixels of each class that was found."""

    classes: tuple[str, ...]
    shares: dict[str, float]


class SegmentationResult(Result):
    """Semantic classes.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 class ids.
        probabilities: (K, H, W) float16, summing to 1 over the classes.
        classes: names in the order of their ids.
    """

    endings = ("_mask.png", "_mask_colour.png")
    main = "mask"
    difference_unit = "of the pixels"

    def __init__(
        self, image: Picture, mask: NDArray[np.uint8], probabilities: NDArray[np.float16], classes: Sequence[str]
    ) -> None:
        super().__init__(image)
        self.mask, self.probabilities, self.classes = mask, probabilities, tuple(classes)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """(H, W), see `results.certainty`."""
        return certainty(self.probabilities, 0)

    @property
    def shares(self) -> dict[str, float]:
        """Share of the pixels of each class that was found, the largest first."""
        return {self.classes[i]: share for i, share in class_shares(self.mask, self.classes).items()}

    @property
    def summary(self) -> str:
        return ", ".join(f"{name} {share:.0%}" for name, share in list(self.shares.items())[:_NAMED])

    @property
    def found(self) -> SegmentationFound:
        return SegmentationFound(self.classes, self.shares)

    def drawing(self) -> Picture:
        return overlay(self.image, self.mask, class_colours(len(self.classes)))

    def key(self) -> Legend:
        return legend_of(self.classes, self.mask)

    def smoothed(self, before: SegmentationResult, weight: NDArray[np.float32]) -> SegmentationResult:
        mixed = (weight * before.probabilities + (1 - weight) * self.probabilities).astype(np.float16)
        return SegmentationResult(self.image, mixed.argmax(0).astype(np.uint8), mixed, self.classes)

    def difference(self, other: SegmentationResult) -> NDArray[np.float32]:
        """1 where the class is another."""
        return (self.mask != other.mask).astype(np.float32)

    def write(self, stem: Path) -> list[Path]:
        """``<stem>_mask.png`` (8-bit palette png of class ids) and ``<stem>_mask_colour.png`` (overlay with legend)."""
        indexed, drawn = files = [stem.with_name(stem.name + ending) for ending in self.endings]
        mask = Image.fromarray(self.mask)
        mask.putpalette(class_colours(len(self.classes)).tobytes())
        write_file(indexed, lambda part: mask.save(part, "PNG"))
        write_picture(drawn, self.picture())
        return files
