"""The figure of a depth sample."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from diffperc.layers.valid import valid_depth
from diffperc.types import Batch, Picture
from diffperc.visualization.colours import Scale
from diffperc.visualization.images import at_size, image_of
from diffperc.visualization.panels import panels


def depth_figure(batch: Batch, dense: Tensor, i: int, max_depth: float | None) -> Picture:
    """Image, ground truth, prediction on its colour scale, absolute error.

    Args:
        batch: with the target ``depth``.
        dense: (B, 1, h, w) metres, at the size of the target.
        i: which sample.
        max_depth: metres, the largest depth that the network can express; larger ones are not compared.
    """
    target = batch.targets["depth"][i, 0].float().cpu().numpy()
    prediction = dense[i, 0].float().cpu().numpy()
    measured = valid_depth(target, max_depth)
    seen = target[measured] if measured.any() else prediction
    low, high = float(seen.min()), float(seen.max())
    error = np.where(measured, np.abs(prediction - target), np.nan)
    mean = float(np.nanmean(error)) if measured.any() else float("nan")
    metres, errors = Scale(low, high, "m"), Scale(0, 1, "m", "magma")
    return panels(
        [
            ("image", at_size(image_of(batch, i), batch.targets["depth"])),
            ("ground truth", metres.draw(np.where(measured, target, np.nan)), metres),
            (f"prediction {prediction.min():.1f} to {prediction.max():.1f} m", metres.draw(prediction), metres),
            (f"error, mean {mean:.2f} m", errors.draw(error), errors),
        ]
    )
