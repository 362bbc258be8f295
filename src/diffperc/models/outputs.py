"""The last step of a model: it converts a head's raw output to the task's units."""

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
        """Raw output (B, 1, H, W) to metres; the result is float32 where the network computes in half precision."""
        return torch.sigmoid(dense.to(at_least_float32(dense.dtype))) * self.max_depth
