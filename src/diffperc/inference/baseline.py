"""The honest baseline: the best prediction that does not look at the image."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from diffperc.data import PerceptionDataset
from diffperc.metrics import DepthMetrics


def mean_depth_map(train: PerceptionDataset, samples: int) -> NDArray[np.float32]:
    """The per-pixel mean of the training depths, over measured pixels below the largest depth.

    Args:
        train: its depth maps should be of one size; others are brought to the first one's (nearest neighbour).
        samples: how many evenly spaced frames are read at most.

    Returns:
        (H, W) metres; where nothing was ever measured, the mean over all pixels.
    """
    limit = train.info.max_depth or np.inf
    total = count = None
    for index in np.unique(np.linspace(0, len(train) - 1, min(samples, len(train))).astype(int)):
        depth = torch.from_numpy(train.depth(int(index)))[None, None]
        if total is None or count is None:
            total = torch.zeros(depth.shape, dtype=torch.float64)
            count = torch.zeros_like(total)
        depth = F.interpolate(depth, size=total.shape[-2:], mode="nearest")
        measured = (depth > 0) & (depth < limit)
        total += torch.where(measured, depth, 0)
        count += measured
    assert total is not None
    assert count is not None
    overall = total.sum() / count.sum().clamp_min(1)
    mean: NDArray[np.float32] = torch.where(count > 0, total / count.clamp_min(1), overall)[0, 0].float().numpy()
    return mean


def depth_baseline(train: PerceptionDataset, val: PerceptionDataset, samples: int = 512) -> dict[str, float]:
    """Validation metrics of the per-pixel mean of the training depths, by the names of `DepthMetrics`."""
    protocol = val.info.protocol
    assert protocol is not None
    mean = torch.from_numpy(mean_depth_map(train, samples))[None, None]
    # one process computes it alone
    metrics = DepthMetrics(protocol, all_processes=False)
    for index in range(len(val)):
        truth = torch.from_numpy(val.depth(index))[None, None]
        metrics.update(F.interpolate(mean, size=truth.shape[-2:], mode="bilinear", align_corners=False), truth)
    return {name: float(value) for name, value in metrics.compute().items()}
