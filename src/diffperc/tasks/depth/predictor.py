"""Metric depth of whole images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from diffperc.inference.predictor import Predictor
from diffperc.inference.sliding_window import Predict, predict_whole
from diffperc.tasks.depth.protocol import DepthProtocol
from diffperc.tasks.depth.writer import write_depth
from diffperc.types import Batch, Picture


def predict_depth(predict: Predict, batch: Batch, protocol: DepthProtocol, size: tuple[int, int]) -> Tensor:
    """(B, 1, *size) metres, averaged over the protocol's windows and mirror images."""
    dense = predict_whole(predict, batch, protocol.windows, protocol.flip)
    if dense.shape[-2:] == size:
        return dense
    return F.interpolate(dense, size=size, mode="bilinear", align_corners=False)


class DepthPredictor(Predictor):
    """Metric depth."""

    options = ("flip", "scene", "caption")
    endings = ("_depth.png", "_depth.json", "_depth.npy", "_depth_colour.png")

    def predict(
        self, pixels: Picture, scene: str | None = None, flip: bool | None = None, caption: str | None = None
    ) -> NDArray[np.float32]:
        """Depth (H, W) float32 metres.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            scene: its scene label, for strategies that read one; None is "unknown".
            flip: average with the mirror image; None: as the protocol does.
            caption: a sentence about the image, for strategies that read one; None: as the strategy finds one.

        Raises:
            ConfigError: the scene label is not one of the data set's.
        """
        batch = self.batch(pixels, caption, scene)
        dense = predict_depth(self.dense, batch, self.protocol_with(flip), (pixels.shape[0], pixels.shape[1]))
        return dense[0, 0].float().cpu().numpy()

    def write(self, stem: Path, image: Picture, result: Any, given: Mapping[str, Any] | None = None) -> str:
        return write_depth(stem, result)
