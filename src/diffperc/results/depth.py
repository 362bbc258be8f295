"""Predicted depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngInfo

from diffperc.files.images import COUNTS_PER_METRE
from diffperc.files.write import write_array, write_picture, write_text
from diffperc.results.base import Result
from diffperc.types import Picture
from diffperc.visualization.colours import Scale

_COUNTS = (1000, 256)  # per metre, the first with which the largest depth can be written
_LARGEST = 65534  # 65535 is read as "not measured"


@dataclass(frozen=True)
class DepthFound:
    """Depth over the image."""

    smallest: float
    largest: float
    mean: float
    unit: str


class DepthResult(Result):
    """Metric depth.

    Args:
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 metres.
        confidence: computes (H, W) float32 in [0, 1] when it is first asked for, see `DepthPredictor.predict`.

    Attributes:
        unit: of `depth`.
    """

    endings = ("_depth.png", "_depth.json", "_depth.npy", "_depth_colour.png")
    main = "depth"
    unit = "m"
    difference_unit = "of the depth"

    def __init__(
        self, image: Picture, depth: NDArray[np.float32], confidence: Callable[[], NDArray[np.float32]]
    ) -> None:
        super().__init__(image)
        self.depth, self._confidence = depth, confidence

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        return self._confidence()

    @property
    def summary(self) -> str:
        return f"{self.depth.min():.2f} to {self.depth.max():.2f} m, mean {self.depth.mean():.2f} m"

    @property
    def found(self) -> DepthFound:
        return DepthFound(float(self.depth.min()), float(self.depth.max()), float(self.depth.mean()), self.unit)

    def drawing(self) -> Picture:
        return self.key().draw(self.depth)

    def key(self) -> Scale:
        return self.scale or Scale(float(self.depth.min()), float(self.depth.max()), self.unit)

    def smoothed(self, before: DepthResult, weight: NDArray[np.float32]) -> DepthResult:
        return DepthResult(self.image, weight * before.depth + (1 - weight) * self.depth, self._confidence)

    def difference(self, other: DepthResult) -> NDArray[np.float32]:
        """As a share of the depth."""
        return np.abs(self.depth - other.depth) / np.maximum(other.depth, 1e-3)

    def write(self, stem: Path) -> list[Path]:
        """``<stem>_depth.png`` (16 bit, with its scale), ``.json`` (scale), ``.npy`` (float32, m), ``_depth_colour.png``.

        The scale is 1000 counts per metre, millimetres, up to 65.534 m; 256, as KITTI's, up to 255.99 m; else the largest
        whole number with which nothing saturates, at least 1. `read_depth` reads it from the png.
        """
        counted, described, array, colours = files = [stem.with_name(stem.name + ending) for ending in self.endings]
        low, high = float(self.depth.min()), float(self.depth.max())
        fits = [scale for scale in _COUNTS if round(high * scale) <= _LARGEST]
        scale = fits[0] if fits else max(1, int(_LARGEST / high))
        text = PngInfo()
        text.add_text(COUNTS_PER_METRE, str(scale))
        text.add_text("description", f"depth, {scale} counts per metre, 0 = not measured")
        counts = np.clip(np.round(self.depth * scale), 0, _LARGEST).astype(np.uint16)
        write_picture(counted, counts, pnginfo=text)  # type: ignore[arg-type]
        content = {COUNTS_PER_METRE: scale, "not_measured": 0, "unit": "metre", "smallest": low, "largest": high}
        write_text(described, content)
        write_array(array, self.depth)
        write_picture(colours, self.picture())
        return files
