"""A predicted referent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffperc.files.write import write_picture
from diffperc.results.base import Result
from diffperc.results.certainty import certainty
from diffperc.types import Picture
from diffperc.visualization.colours import PREDICTION
from diffperc.visualization.overlays import outlined


@dataclass(frozen=True)
class ReferringFound:
    """The sentence, and the share of the pixels to which it points."""

    expression: str
    share: float


class ReferringResult(Result):
    """What an expression refers to.

    Args:
        image: (H, W, 3) uint8 RGB.
        referent: (H, W) bool, where the expression points.
        probabilities: (H, W) float32, the probability that the expression points there.
        expression: the sentence.
    """

    endings = ("_referent.png", "_referent_colour.png")
    main = "referent"
    difference_unit = "of the pixels"

    def __init__(
        self, image: Picture, referent: NDArray[np.bool_], probabilities: NDArray[np.float32], expression: str
    ) -> None:
        super().__init__(image)
        self.referent, self.probabilities, self.expression = referent, probabilities, expression

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """(H, W), see `results.certainty`."""
        p = self.probabilities
        return certainty(np.stack([p, 1 - p]), 0)

    @property
    def summary(self) -> str:
        return f'"{self.expression}" is {self.referent.mean():.1%} of the image'

    @property
    def found(self) -> ReferringFound:
        return ReferringFound(self.expression, float(self.referent.mean()))

    def drawing(self) -> Picture:
        return outlined(self.image, self.referent, PREDICTION)

    def note(self) -> str:
        found = "" if self.referent.any() else "nothing found for "
        return f"{found}“{self.expression}”"

    def smoothed(self, before: ReferringResult, weight: NDArray[np.float32]) -> ReferringResult:
        mixed = weight * before.probabilities + (1 - weight) * self.probabilities
        return ReferringResult(self.image, mixed > 0.5, mixed, self.expression)

    def write(self, stem: Path) -> list[Path]:
        """``<stem>_referent.png`` (8 bit, 255 where the expression points) and ``<stem>_referent_colour.png``."""
        mask, colours = files = [stem.with_name(stem.name + ending) for ending in self.endings]
        write_picture(mask, self.referent.astype(np.uint8) * 255)
        write_picture(colours, self.picture())
        return files
