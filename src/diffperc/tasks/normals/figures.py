"""Normals at a glance."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from diffperc.tasks.normals.metrics import angular_error
from diffperc.types import Batch, Picture
from diffperc.visualization.colours import Scale
from diffperc.visualization.images import at_size, image_of
from diffperc.visualization.normals import normal_colours
from diffperc.visualization.panels import panels

_LARGEST = 60.0  # degrees, the end of the colour scale


def normals_figure(batch: Batch, dense: Tensor, i: int) -> Picture:
    """Image, ground truth, prediction, angular error.

    Args:
        batch: with the target ``normals``.
        dense: (B, 3, h, w) unit vectors, at the size of the target.
        i: which sample.
    """
    target, prediction = batch.targets["normals"][i : i + 1].float().cpu(), dense[i : i + 1].float().cpu()
    measured = target[0].any(0).numpy()
    error = np.where(measured, angular_error(prediction, target)[0].numpy(), np.nan)
    mean = float(np.nanmean(error)) if measured.any() else float("nan")
    degrees = Scale(0, _LARGEST, "°", "magma")
    return panels(
        [
            ("image", at_size(image_of(batch, i), target)),
            ("ground truth", normal_colours(target[0].permute(1, 2, 0).numpy())),
            ("prediction", normal_colours(prediction[0].permute(1, 2, 0).numpy())),
            (f"error, mean {mean:.1f}°", degrees.draw(error), degrees),
        ]
    )
