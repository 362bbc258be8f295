"""What an expression refers to, in whole images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from diffperc.errors import ConfigError
from diffperc.inference.predictor import Predictor
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
    endings = ("_referent.png", "_referent_colour.png")

    def predict(self, pixels: Picture, expression: str | None = None, caption: str | None = None) -> NDArray[np.bool_]:
        """Mask (H, W) bool of what the expression names, such as "the red cube".

        Args:
            pixels: (H, W, 3) uint8 RGB.
            expression: the sentence.
            caption: a sentence about the whole image, for strategies that read one.

        Raises:
            ConfigError: no expression was given.
        """
        if expression is None or not expression.strip():
            raise ConfigError(
                'expression: this model finds what a sentence names; give one: expression="the red cube".'
            )
        batch = dataclasses.replace(self.batch(pixels, caption), expression=(expression.strip(),))
        dense = predict_referent(self.dense, batch, self.protocol, (pixels.shape[0], pixels.shape[1]))
        return dense[0].argmax(0).bool().cpu().numpy()

    def write(self, stem: Path, image: Picture, result: Any, given: Mapping[str, Any] | None = None) -> str:
        return write_referent(stem, image, result, (given or {}).get("expression", ""))
