"""The per-pixel mean of the training depths."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from diffperc.data import PerceptionDataset
from diffperc.layers.valid import valid_depth
from diffperc.metrics import DepthMetrics
from diffperc.tasks.baseline import SAMPLES, floats, nearest, spaced
from diffperc.tasks.depth.protocol import DepthProtocol


def mean_depth_map(train: PerceptionDataset, samples: int) -> NDArray[np.float32]:
    """The per-pixel mean of the training depths, over valid pixels.

    Args:
        train: its depth maps should all have one size; others are resized to the first one's (nearest neighbour).
        samples: how many evenly spaced frames are read at most.

    Returns:
        (H, W) metres; where nothing was ever measured, the mean over all pixels.
    """
    indices = spaced(train, samples)
    total = torch.zeros(train.target(indices[0]).shape, dtype=torch.float64)
    count = torch.zeros_like(total)
    for index in indices:
        depth = nearest(train.target(index), (total.shape[0], total.shape[1]))
        measured = valid_depth(depth, train.info.max_depth)
        total += torch.where(measured, depth, 0)
        count += measured
    overall = total.sum() / count.sum().clamp_min(1)
    mean: NDArray[np.float32] = torch.where(count > 0, total / count.clamp_min(1), overall).float().numpy()
    return mean


def depth_baseline(
    train: PerceptionDataset, val: PerceptionDataset, protocol: DepthProtocol, samples: int = SAMPLES
) -> dict[str, float]:
    """Validation metrics of the mean depth map, by the names of `DepthMetrics`."""
    mean = torch.from_numpy(mean_depth_map(train, samples))[None, None]
    # one process computes it alone
    metrics = DepthMetrics(
        protocol.min_depth, protocol.max_depth, protocol.crop, protocol.crop_size, all_processes=False
    )
    for index in range(len(val)):
        depth = torch.from_numpy(val.target(index))[None, None]
        metrics.update(F.interpolate(mean, size=depth.shape[-2:], mode="bilinear", align_corners=False), depth)
    return floats(metrics.compute())
