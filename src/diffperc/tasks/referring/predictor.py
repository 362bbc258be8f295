"""What an expression refers to, in whole images."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from diffperc.errors import ConfigError
from diffperc.inference.predictor import Predictor
from diffperc.inference.sliding_window import Predict, predict_whole
from diffperc.results.referring import ReferringResult
from diffperc.tasks.referring.protocol import ReferringProtocol
from diffperc.types import Batch, Picture
from diffperc.visualization.colours import PREDICTION
from diffperc.visualization.images import image_of
from diffperc.visualization.overlays import outlined


def predict_referent(
    predict: Predict, batch: Batch, protocol: ReferringProtocol, size: tuple[int, int], pixels: int = 0
) -> Tensor:
    """(B, 2, *size) logits of background and referent (methods.md 1.2); `pixels`: see `predict_each`."""
    dense = predict_whole(predict, batch, flip=protocol.flip, pixels=pixels)
    if dense.shape[-2:] == size:
        return dense
    return F.interpolate(dense, size=size, mode="bilinear", align_corners=True)


class ReferringPredictor(Predictor):
    """What an expression refers to."""

    options = ("expression", "caption")
    result = ReferringResult

    def predict(self, pixels: Picture, expression: str | None = None, caption: str | None = None) -> ReferringResult:
        """The mask of what the expression names, such as "the red cube", and its probabilities.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            expression: the sentence.
            caption: a sentence about the whole image, for strategies that read one.

        Raises:
            ConfigError: no expression was given.
        """
        batch = self.batch(pixels, caption, expression=expression)
        assert batch.expression is not None
        size = (pixels.shape[0], pixels.shape[1])
        dense = predict_referent(self.dense, batch, self.protocol, size, self.model.pixels_at_once)
        mask = dense[0].argmax(0).bool().cpu().numpy()
        return ReferringResult(pixels, mask, dense[0].float().softmax(0)[1].cpu().numpy(), batch.expression[0])

    def batch(
        self,
        pixels: Picture,
        caption: str | None = None,
        scene: str | None = None,
        expression: str | None = None,
        **options: Any,
    ) -> Batch:
        """See `Predictor.batch`; with the sentence."""
        if expression is None or not expression.strip():
            raise ConfigError(
                'expression: this model finds what a sentence names; give one: expression="the red cube".'
            )
        return dataclasses.replace(super().batch(pixels, caption, scene), expression=(expression.strip(),))

    def finish(self, dense: Tensor) -> Tensor:
        """The probability that the expression points there, (B, 1, h, w)."""
        return dense.float().softmax(1)[:, 1:]

    def draw(self, batch: Batch, dense: Tensor) -> Picture:
        return outlined(image_of(batch, 0), dense[0].argmax(0).bool().cpu().numpy(), PREDICTION)

    def change(self, dense: Tensor, other: Tensor) -> Tensor:
        """The change of the probability that the expression points there."""
        return (dense.float().softmax(1) - other.float().softmax(1)).abs()[:, 1]
