"""Surface normals of whole images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from diffperc.inference.predictor import Predictor
from diffperc.inference.sliding_window import Predict
from diffperc.tasks.normals.protocol import NormalsProtocol
from diffperc.tasks.normals.writer import write_normals
from diffperc.types import Batch, Picture


def predict_normals(predict: Predict, batch: Batch, protocol: NormalsProtocol, size: tuple[int, int]) -> Tensor:
    """(B, 3, *size) unit vectors; x of the mirror image's is turned back before both are averaged."""
    dense = predict(batch)
    if protocol.flip:
        mirror = predict(dataclasses.replace(batch, image=batch.image.flip(-1), targets={})).flip(-1)
        dense = dense + mirror * mirror.new_tensor([-1, 1, 1])[:, None, None]
    if dense.shape[-2:] != size:
        dense = F.interpolate(dense, size=size, mode="bilinear", align_corners=False)
    return F.normalize(dense, dim=1)


class NormalsPredictor(Predictor):
    """Surface normals."""

    options = ("flip", "scene", "caption")
    endings = ("_normals.png", "_normals.npy")

    def predict(
        self, pixels: Picture, scene: str | None = None, flip: bool | None = None, caption: str | None = None
    ) -> NDArray[np.float32]:
        """Unit vectors (H, W, 3) float32: x to the right, y up, z towards the viewer.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            scene: its scene label, for strategies that read one; None is "unknown".
            flip: average with the mirror image; None: as the protocol does.
            caption: a sentence about the image, for strategies that read one; None: as the strategy finds one.

        Raises:
            ConfigError: the scene label is not one of the data set's.
        """
        batch = self.batch(pixels, caption, scene)
        dense = predict_normals(self.dense, batch, self.protocol_with(flip), (pixels.shape[0], pixels.shape[1]))
        return dense[0].permute(1, 2, 0).float().cpu().numpy()

    def write(self, stem: Path, image: Picture, result: Any, given: Mapping[str, Any] | None = None) -> str:
        return write_normals(stem, result)
