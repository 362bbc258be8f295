"""Surface normals of whole images."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from diffperc.inference.predictor import Predictor
from diffperc.inference.sliding_window import Predict, predict_each
from diffperc.layers.neighbourhood import neighbourhood_mean
from diffperc.results.normals import NormalsResult
from diffperc.tasks.normals.metrics import angular_error
from diffperc.tasks.normals.protocol import NormalsProtocol
from diffperc.types import Batch, Picture
from diffperc.visualization.normals import normal_colours


def predict_normals(
    predict: Predict, batch: Batch, protocol: NormalsProtocol, size: tuple[int, int], pixels: int = 0
) -> Tensor:
    """(B, 3, *size) unit vectors; x of the mirror image's is turned back before both are averaged.

    `pixels`: see `predict_each`.
    """
    views = [batch.image, batch.image.flip(-1)] if protocol.flip else [batch.image]
    dense, *mirror = predict_each(predict, batch, views, pixels)
    if mirror:
        dense = dense + mirrored(mirror[0])
    if dense.shape[-2:] != size:
        dense = F.interpolate(dense, size=size, mode="bilinear", align_corners=False)
    return F.normalize(dense, dim=1)


def mirrored(normals: Tensor) -> Tensor:
    """Normals (B, 3, H, W) of mirrored images as those of the images."""
    return normals.flip(-1) * normals.new_tensor([-1, 1, 1])[:, None, None]


def normals_confidence(predict: Predict, batch: Batch, protocol: NormalsProtocol, size: tuple[int, int]) -> Tensor:
    """(B, *size) in [0, 1]: the length of the mean of the unit vector and that of the mirror image, over a neighbourhood."""
    single = dataclasses.replace(protocol, flip=False)
    plain = predict_normals(predict, batch, single, size)
    turned = dataclasses.replace(batch, image=batch.image.flip(-1))
    mean = (plain + mirrored(predict_normals(predict, turned, single, size))).float() / 2
    return neighbourhood_mean(mean.norm(dim=1).clamp(max=1))


class NormalsPredictor(Predictor):
    """Surface normals."""

    options = ("flip", "scene", "caption")
    result = NormalsResult
    change_unit = "°"

    def predict(
        self, pixels: Picture, scene: str | None = None, flip: bool | None = None, caption: str | None = None
    ) -> NormalsResult:
        """Surface normals, and on demand how far they can be trusted, which takes two more predictions.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            scene: its scene label, for strategies that read one; None is "unknown".
            flip: average with the mirror image; None: as the protocol does.
            caption: a sentence about the image, for strategies that read one; None: as the strategy finds one.

        Raises:
            ConfigError: the scene label is not one of the data set's.
        """
        batch = self.batch(pixels, caption, scene)
        size = (pixels.shape[0], pixels.shape[1])
        dense = predict_normals(self.dense, batch, self.protocol_with(flip), size, self.model.pixels_at_once)

        def confidence() -> NDArray[np.float32]:
            with torch.inference_mode():
                return normals_confidence(self.dense, batch, self.protocol, size)[0].cpu().numpy()

        return NormalsResult(pixels, dense[0].permute(1, 2, 0).float().cpu().numpy(), confidence)

    def finish(self, dense: Tensor) -> Tensor:
        """Unit vectors (B, 3, h, w)."""
        return F.normalize(dense, dim=1)

    def draw(self, batch: Batch, dense: Tensor) -> Picture:
        return normal_colours(F.normalize(dense[0], dim=0).permute(1, 2, 0).float().cpu().numpy())

    def change(self, dense: Tensor, other: Tensor) -> Tensor:
        """The angle between them in degrees."""
        return angular_error(dense.float(), other.float())
