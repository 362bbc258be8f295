"""Metric depth of whole images."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from diffperc.inference.predictor import Predictor
from diffperc.inference.sliding_window import Predict, predict_whole
from diffperc.layers.neighbourhood import neighbourhood_mean
from diffperc.results.depth import DepthResult
from diffperc.tasks.depth.protocol import DepthProtocol
from diffperc.types import Batch, Picture
from diffperc.visualization.colours import Scale


def predict_depth(
    predict: Predict, batch: Batch, protocol: DepthProtocol, size: tuple[int, int], pixels: int = 0
) -> Tensor:
    """(B, 1, *size) metres, averaged over the protocol's windows and mirror images; `pixels`: see `predict_each`."""
    dense = predict_whole(predict, batch, protocol.windows, protocol.flip, pixels)
    if dense.shape[-2:] == size:
        return dense
    return F.interpolate(dense, size=size, mode="bilinear", align_corners=False)


def depth_confidence(predict: Predict, batch: Batch, protocol: DepthProtocol, size: tuple[int, int]) -> Tensor:
    """(B, *size) in [0, 1]: exp(-s), s half the difference of log depth to the mirror image, averaged over a neighbourhood.

    What all of the image differs by is left out: it says nothing of single places.
    """
    single = dataclasses.replace(protocol, flip=False)
    plain = predict_depth(predict, batch, single, size)
    turned = dataclasses.replace(batch, image=batch.image.flip(-1))
    both = torch.stack([plain, predict_depth(predict, turned, single, size).flip(-1)])[:, :, 0].float()
    gap = both.clamp(min=1e-3).log().diff(dim=0)[0]
    return torch.exp(-neighbourhood_mean((gap - gap.mean((-1, -2), keepdim=True)).abs() / 2))


class DepthPredictor(Predictor):
    """Metric depth."""

    options = ("flip", "scene", "caption")
    result = DepthResult
    change_unit = "m"

    def predict(
        self, pixels: Picture, scene: str | None = None, flip: bool | None = None, caption: str | None = None
    ) -> DepthResult:
        """Metric depth, and on demand how far it can be trusted, which takes two more predictions.

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
        dense = predict_depth(self.dense, batch, self.protocol_with(flip), size, self.model.pixels_at_once)

        def confidence() -> NDArray[np.float32]:
            with torch.inference_mode():
                return depth_confidence(self.dense, batch, self.protocol, size)[0].cpu().numpy()

        return DepthResult(pixels, dense[0, 0].float().cpu().numpy(), confidence)

    def draw(self, batch: Batch, dense: Tensor) -> Picture:
        depth = dense[0, 0].float().cpu().numpy()
        return Scale(float(depth.min()), float(depth.max())).draw(depth)
