"""Last step of a model: from a head's raw numbers to the task's units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffperc.checks import at_least_float32


class BoundedDepth(nn.Module):
    """``sigmoid(x) * max_depth``: metres in (0, max_depth) (methods.md 1.3, 2.1)."""

    def __init__(self, max_depth: float) -> None:
        super().__init__()
        self.max_depth = max_depth

    def forward(self, dense: Tensor) -> Tensor:
        """(B, 1, H, W) raw to metres, in float32 where the network computes in less."""
        return torch.sigmoid(dense.to(at_least_float32(dense.dtype))) * self.max_depth


def class_ids(scores: Tensor, axis: int) -> Tensor:
    """The class of the largest of scores, the first of equal ones; `axis`, that of the classes, is gone."""
    # argmax does the same, on a CPU in two to four times as long where the axis is not the last (torch 2.13)
    return scores.max(axis).indices
