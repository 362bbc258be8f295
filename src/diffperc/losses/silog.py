"""Scale-invariant log loss (Eigen et al. 2014; methods.md 1.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from diffperc.checks import check_shape
from diffperc.layers.reduce import global_sums
from diffperc.layers.valid import valid_depth

_EPS = 1e-6  # metres; keeps the logarithm finite where a sigmoid has saturated


def silog_loss(
    prediction: Tensor, target: Tensor, variance_focus: float = 0.5, max_depth: float | None = None
) -> Tensor:
    """``sqrt(mean(d^2) - variance_focus * mean(d)^2)``, d = log target - log prediction.

    The means run over all valid pixels of the whole global batch, not per image: in a distributed run over those of
    all processes, so that the loss is that of one process with the same global batch.

    Args:
        prediction: (B, 1, H, W) metres, positive.
        target: (B, 1, H, W) metres; which pixels are valid, `valid_depth` defines.
        variance_focus: 0.5 for VPD and meta prompts, 0.85 for ECoDepth.
        max_depth: metres, the largest depth that the network can express; None: no limit, as published.

    Returns:
        A scalar; zero, with zero gradients, if no pixel is valid.

    Raises:
        ValueError: the shapes differ.
    """
    b, h, w = prediction.shape[0], *prediction.shape[-2:]
    check_shape("prediction", prediction, "B 1 H W")
    check_shape("target", target, "B 1 H W", B=b, H=h, W=w)
    measured = valid_depth(target, max_depth)
    # masked pixels are replaced before the logarithm: a NaN times zero would still be a NaN in the gradient
    safe_target = torch.where(measured, target, torch.ones_like(target))
    safe_prediction = torch.where(measured, prediction, torch.ones_like(prediction)).clamp_min(_EPS)
    d = safe_target.log() - safe_prediction.log()
    sums = torch.stack([measured.sum().to(d.dtype), d.sum(), (d * d).sum()])
    sums = global_sums(sums)
    count = sums[0].clamp_min(1)
    mean, square = sums[1] / count, sums[2] / count
    variance = (square - variance_focus * mean * mean).clamp_min(0)
    # the square root has no slope at zero: an empty or perfect batch must not give NaN gradients
    return torch.where(variance > _EPS**2, variance.clamp_min(_EPS**2).sqrt(), variance)
