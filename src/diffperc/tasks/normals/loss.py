"""Training loss of surface normals."""

from __future__ import annotations

import torch
from torch import Tensor

from diffperc.checks import at_least_float32, check_shape
from diffperc.layers.reduce import global_sums


def cosine_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of ``1 - n . n*`` over all measured pixels of the global batch.

    Args:
        prediction: (B, 3, H, W) unit vectors.
        target: (B, 3, H, W) unit vectors; (0, 0, 0) = not measured.

    Returns:
        A scalar in [0, 2]; zero, with zero gradients, if no pixel is measured.
    """
    sizes = check_shape("target", target, "B 3 H W")
    check_shape("prediction", prediction, "B 3 H W", **sizes)
    dtype = at_least_float32(prediction.dtype)
    measured = target.any(1)
    distance = 1 - (prediction.to(dtype) * target.to(dtype)).sum(1)
    sums = torch.stack([measured.sum().to(dtype), torch.where(measured, distance, 0).sum()])
    count, total = global_sums(sums)
    return total / count.clamp_min(1)
