"""Class ids of whole images."""

from __future__ import annotations

import torch
from torch import Tensor

from diffperc.inference.predictor import Predictor
from diffperc.inference.sliding_window import Predict, predict_probabilities
from diffperc.metrics.segmentation import class_ids
from diffperc.results.segmentation import SegmentationResult
from diffperc.tasks.segmentation.protocol import SegmentationProtocol
from diffperc.types import Batch, Picture
from diffperc.visualization.colours import class_colours
from diffperc.visualization.images import image_of
from diffperc.visualization.overlays import overlay


def predict_classes(
    predict: Predict, batch: Batch, protocol: SegmentationProtocol, size: tuple[int, int], pixels: int = 0
) -> Tensor:
    """(B, K, *size) probabilities by the protocol's windows, scales and mirror images; `pixels`: see `predict_each`."""
    return predict_probabilities(
        predict, batch, size, protocol.window, protocol.stride, protocol.ratios, protocol.flip, pixels
    )


class SegmentationPredictor(Predictor):
    """Semantic segmentation."""

    result = SegmentationResult

    def predict(self, pixels: Picture, flip: bool | None = None, caption: str | None = None) -> SegmentationResult:
        """Class ids and probabilities.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            flip: average with the mirror image; None: as the protocol does.
            caption: a sentence about the image, for strategies that read one.
        """
        size = (pixels.shape[0], pixels.shape[1])
        batch = self.batch(pixels, caption)
        probabilities = predict_classes(self.dense, batch, self.protocol_with(flip), size, self.model.pixels_at_once)
        mask = class_ids(probabilities[0], 0).to(torch.uint8).cpu().numpy()
        return SegmentationResult(pixels, mask, probabilities[0].half().cpu().numpy(), self.info.classes)

    def finish(self, dense: Tensor) -> Tensor:
        """Class probabilities (B, K, h, w)."""
        return dense.float().softmax(1)

    def draw(self, batch: Batch, dense: Tensor) -> Picture:
        found = class_ids(dense[0], 0).cpu().numpy()
        return overlay(image_of(batch, 0), found, class_colours(len(self.info.classes)))

    def change(self, dense: Tensor, other: Tensor) -> Tensor:
        """The share of the probability that goes to other classes."""
        return (dense.float().softmax(1) - other.float().softmax(1)).abs().sum(1) / 2
