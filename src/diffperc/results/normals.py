"""Predicted normals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffperc.files.write import write_array, write_picture
from diffperc.results.base import Result
from diffperc.types import Picture
from diffperc.visualization.colours import Legend
from diffperc.visualization.normals import normal_colours

# of x, y, z
_LEFT, _RIGHT, _UP, _FACING = (-0.9, 0, 0.44), (0.9, 0, 0.44), (0, 0.9, 0.44), (0, 0, 1)


@dataclass(frozen=True)
class NormalsFound:
    """The mean (x, y, z) of the unit vectors: x to the right, y up, z towards the viewer."""

    mean: tuple[float, float, float]


class NormalsResult(Result):
    """Surface normals.

    Args:
        image: (H, W, 3) uint8 RGB.
        normals: (H, W, 3) float32 unit vectors: x to the right, y up, z towards the viewer.
        confidence: computes (H, W) float32 in [0, 1] when it is first asked for, see `NormalsPredictor.predict`.
    """

    endings = ("_normals.png", "_normals.npy")
    main = "normals"
    difference_unit = "°"

    def __init__(
        self, image: Picture, normals: NDArray[np.float32], confidence: Callable[[], NDArray[np.float32]]
    ) -> None:
        super().__init__(image)
        self.normals, self._confidence = normals, confidence

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        return self._confidence()

    @property
    def found(self) -> NormalsFound:
        x, y, z = map(float, self.normals.mean((0, 1)))
        return NormalsFound((x, y, z))

    @property
    def summary(self) -> str:
        x, y, z = self.found.mean
        return f"mean normal ({x:.2f}, {y:.2f}, {z:.2f})"

    def drawing(self) -> Picture:
        return normal_colours(self.normals)

    def key(self) -> Legend:
        """Four directions."""
        shown = {"to the left": _LEFT, "to the right": _RIGHT, "upwards": _UP, "to the viewer": _FACING}
        colours = normal_colours(np.array([list(shown.values())]))[0].tolist()
        return [(name, (red, green, blue)) for name, (red, green, blue) in zip(shown, colours, strict=True)]

    def smoothed(self, before: NormalsResult, weight: NDArray[np.float32]) -> NormalsResult:
        mixed = weight[..., None] * before.normals + (1 - weight[..., None]) * self.normals
        length = np.linalg.norm(mixed, axis=-1, keepdims=True)
        unit = np.where(length > 0.1, mixed / np.maximum(length, 0.1), self.normals)  # opposite ones have no mean
        return NormalsResult(self.image, unit, self._confidence)

    def difference(self, other: NormalsResult) -> NDArray[np.float32]:
        """Degrees between the normals."""
        sine = np.linalg.norm(np.cross(self.normals, other.normals), axis=-1)
        return np.degrees(np.arctan2(sine, (self.normals * other.normals).sum(-1)))

    def write(self, stem: Path) -> list[Path]:
        """``<stem>_normals.png`` (8-bit RGB, (n + 1) / 2) and ``<stem>_normals.npy`` (float32 unit vectors)."""
        colours, array = files = [stem.with_name(stem.name + ending) for ending in self.endings]
        write_picture(colours, self.drawing())
        write_array(array, self.normals)
        return files
