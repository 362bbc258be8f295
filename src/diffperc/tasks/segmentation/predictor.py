"""Class ids of whole images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffperc.inference.predictor import Predictor
from diffperc.inference.sliding_window import Predict, predict_probabilities
from diffperc.metrics.segmentation import class_ids
from diffperc.tasks.segmentation.protocol import SegmentationProtocol
from diffperc.tasks.segmentation.writer import write_classes
from diffperc.types import Batch, Picture


def predict_classes(predict: Predict, batch: Batch, protocol: SegmentationProtocol, size: tuple[int, int]) -> Tensor:
    """(B, K, *size) probabilities by the protocol's windows, scales and mirror images."""
    return predict_probabilities(predict, batch, size, protocol.window, protocol.stride, protocol.ratios, protocol.flip)


class SegmentationPredictor(Predictor):
    """Semantic segmentation."""

    endings = ("_mask.png", "_mask_colour.png")

    def predict(self, pixels: Picture, flip: bool | None = None, caption: str | None = None) -> NDArray[np.uint8]:
        """Class ids (H, W) uint8; names are `info.classes`.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            flip: average with the mirror image; None: as the protocol does.
            caption: a sentence about the image, for strategies that read one.
        """
        size = (pixels.shape[0], pixels.shape[1])
        probabilities = predict_classes(self.dense, self.batch(pixels, caption), self.protocol_with(flip), size)
        return class_ids(probabilities[0], 0).to(torch.uint8).cpu().numpy()

    def write(self, stem: Path, image: Picture, result: Any, given: Mapping[str, Any] | None = None) -> str:
        return write_classes(stem, image, result, self.info.classes)
