"""What an expression refers to, in whole images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from diffperc.errors import ConfigError
from diffperc.inference.predictor import Image, Predictor
from diffperc.inference.sliding_window import Predict, predict_whole
from diffperc.tasks.referring.protocol import ReferringProtocol
from diffperc.tasks.referring.writer import write_referent
from diffperc.types import Batch, Picture


def predict_referent(predict: Predict, batch: Batch, protocol: ReferringProtocol, size: tuple[int, int]) -> Tensor:
    """(B, 2, *size) logits of background and referent (methods.md 1.2)."""
    dense = predict_whole(predict, batch, flip=protocol.flip)
    if dense.shape[-2:] == size:
        return dense
    return F.interpolate(dense, size=size, mode="bilinear", align_corners=True)


class ReferringPredictor(Predictor):
    """What an expression refers to."""

    options = ("expression", "caption")

    @torch.inference_mode()
    def __call__(self, image: Image, expression: str | None = None, caption: str | None = None) -> NDArray[np.bool_]:
        """Mask (H, W) bool of what the expression names, such as "the red cube".

        Args:
            image: see `Predictor`.
            expression: the sentence.
            caption: a sentence about the whole image, for strategies that read one.

        Raises:
            ConfigError: no expression was given.
        """
        if expression is None or not expression.strip():
            raise ConfigError(
                'expression: this model finds what a sentence names; give one: expression="the red cube".'
            )
        pixels = self.pixels(image)
        batch = dataclasses.replace(self.batch(pixels, caption), expression=(expression.strip(),))
        dense = predict_referent(self.dense, batch, self.protocol, (pixels.shape[0], pixels.shape[1]))
        return dense[0].argmax(0).bool().cpu().numpy()

    def write(self, stem: Path, image: Picture, result: Any, given: Mapping[str, Any] | None = None) -> str:
        return write_referent(stem, image, result, (given or {}).get("expression", ""))
