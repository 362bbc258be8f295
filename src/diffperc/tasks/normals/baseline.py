"""The per-pixel mean of the training normals."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from diffperc.data import PerceptionDataset
from diffperc.tasks.baseline import SAMPLES, floats, spaced
from diffperc.tasks.normals.metrics import NormalsMetrics


def mean_normals(train: PerceptionDataset, samples: int = SAMPLES) -> Tensor:
    """(1, 3, H, W) unit vectors: the direction of the sum of the training normals at each pixel."""
    indices = spaced(train, samples)
    height, width = train.target(indices[0]).shape[:2]
    total = torch.zeros(1, 3, height, width, dtype=torch.float64)
    for index in indices:
        normals = torch.from_numpy(np.ascontiguousarray(train.target(index).transpose(2, 0, 1)))[None].double()
        total += F.interpolate(normals, size=(height, width), mode="nearest")
    towards_viewer = total.new_tensor([0, 0, 1])[:, None, None]
    return F.normalize(torch.where(total.any(1, keepdim=True), total, towards_viewer), dim=1).float()


def normals_baseline(train: PerceptionDataset, val: PerceptionDataset, samples: int = SAMPLES) -> dict[str, float]:
    """Validation metrics of the mean normals, by the names of `NormalsMetrics`."""
    mean = mean_normals(train, samples)
    metrics = NormalsMetrics(all_processes=False)
    for index in range(len(val)):
        target = torch.from_numpy(np.ascontiguousarray(val.target(index).transpose(2, 0, 1)))[None]
        guess = F.interpolate(mean, size=target.shape[-2:], mode="bilinear", align_corners=False)
        metrics.update(F.normalize(guess, dim=1), target)
    return floats(metrics.compute())
