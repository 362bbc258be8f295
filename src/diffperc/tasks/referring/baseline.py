"""The mean training mask, thresholded."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from diffperc.data import PerceptionDataset
from diffperc.metrics import ReferringMetrics
from diffperc.tasks.baseline import SAMPLES, floats, nearest, spaced

_THRESHOLDS = 40


def referring_baseline(train: PerceptionDataset, val: PerceptionDataset, samples: int = SAMPLES) -> dict[str, float]:
    """Validation metrics of the mean training mask, thresholded where its oIoU on the validation split is best."""
    indices = spaced(train, samples)
    mean = torch.zeros(train.target(indices[0]).shape)
    for index in indices:
        mean += nearest(train.target(index), (mean.shape[0], mean.shape[1])) / len(indices)
    thresholds = torch.linspace(0, float(mean.max()), _THRESHOLDS)[:-1]
    metrics = [ReferringMetrics(all_processes=False) for _ in thresholds]
    for index in range(len(val)):
        referent = torch.from_numpy(val.target(index)).long()[None]
        level = F.interpolate(mean[None, None], size=referent.shape[-2:], mode="bilinear", align_corners=False)
        for threshold, metric in zip(thresholds, metrics, strict=True):
            inside = (level > threshold).float()
            metric.update(torch.cat([1 - inside, inside], 1), referent)
    scores = [floats(metric.compute()) for metric in metrics]
    return max(scores, key=lambda found: found["val/oiou"])
