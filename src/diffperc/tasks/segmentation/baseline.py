"""The per-pixel mode of the training masks."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from diffperc.data import PerceptionDataset
from diffperc.metrics import SegmentationMetrics
from diffperc.tasks.baseline import SAMPLES, floats, nearest, spaced


def segmentation_baseline(train: PerceptionDataset, val: PerceptionDataset, samples: int = SAMPLES) -> dict[str, float]:
    """Validation metrics of the class that is most frequent at each pixel of the training masks."""
    classes = val.info.classes
    indices = spaced(train, samples)
    counts = torch.zeros(len(classes), *train.target(indices[0]).shape)
    for index in indices:
        ids = nearest(train.target(index), (counts.shape[1], counts.shape[2])).long()
        known = ids < len(classes)
        counts.scatter_add_(0, torch.where(known, ids, 0)[None], known[None].float())
    metrics = SegmentationMetrics(classes, val.info.ignore_index, all_processes=False)
    for index in range(len(val)):
        mask = torch.from_numpy(val.target(index)).long()[None]
        # the counts stand in for logits: their maximum is the mode
        metrics.update(F.interpolate(counts[None], size=mask.shape[-2:], mode="nearest"), mask)
    return floats(metrics.compute())
