"""Certainty of class probabilities."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def certainty(probabilities: Tensor, dim: int) -> Tensor:
    """1 less the entropy as a share of the largest possible: 0 where all classes are equally likely, 1 where one is sure.

    Args:
        probabilities: summing to 1 over `dim`, which is gone in the result; computed in float32.
        dim: of the classes.
    """
    total: Tensor | None = None
    for p in probabilities.unbind(dim):  # class by class: of all at once there would be several copies
        p = p.float()
        term = torch.special.entr(p)
        total = term if total is None else total + term
    assert total is not None
    return (1 - total / math.log(probabilities.shape[dim])).clamp(0, 1)
