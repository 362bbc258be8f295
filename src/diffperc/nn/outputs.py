"""Last step of a model: from a head's raw numbers to the task's units."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BoundedDepth(nn.Module):
    """``sigmoid(x) * max_depth``: metres in (0, max_depth) (methods.md 1.3, 2.1)."""

    def __init__(self, max_depth: float) -> None:
        super().__init__()
        self.max_depth = max_depth

    def forward(self, dense: Tensor) -> Tensor:
        """(B, 1, H, W) raw to metres, in float32 whatever the precision of the network."""
        return torch.sigmoid(dense.float()) * self.max_depth
