"""What the tasks' baselines share: the best prediction that does not look at the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from diffperc.data import PerceptionDataset

SAMPLES = 512
"""How many evenly spaced training samples are read at most."""


def spaced(dataset: PerceptionDataset, samples: int) -> list[int]:
    """Indices of at most that many samples, evenly spaced."""
    count = min(samples, len(dataset))
    return [int(i) for i in np.unique(np.linspace(0, len(dataset) - 1, count).astype(int))]


def nearest(values: NDArray[Any], size: tuple[int, int]) -> Tensor:
    """Ground truth (h, w) at another size (H, W), float32."""
    return F.interpolate(torch.from_numpy(values)[None, None].float(), size=size, mode="nearest")[0, 0]


def floats(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """Metrics as plain numbers, under the names by which training logs them."""
    return {f"val/{name}": float(value) for name, value in metrics.items()}
