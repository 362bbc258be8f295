"""The honest baseline of each task: the best prediction that does not look at the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from diffperc.data import PerceptionDataset
from diffperc.metrics import DepthMetrics, KeypointMetrics, ReferringMetrics, SegmentationMetrics
from diffperc.protocols import DepthProtocol, PoseProtocol

SAMPLES = 512
"""How many evenly spaced training samples are read at most."""


def _spaced(train: PerceptionDataset, samples: int) -> Iterator[int]:
    yield from (int(i) for i in np.unique(np.linspace(0, len(train) - 1, min(samples, len(train))).astype(int)))


def _nearest(truth: NDArray[Any], size: tuple[int, int]) -> Tensor:
    """A truth (h, w) at another size (H, W)."""
    return F.interpolate(torch.from_numpy(truth)[None, None].float(), size=size, mode="nearest")[0, 0]


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
    for index in _spaced(train, samples):
        depth = train.truth(index, "depth")
        if total is None or count is None:
            total = torch.zeros(depth.shape, dtype=torch.float64)
            count = torch.zeros_like(total)
        found = _nearest(depth, (total.shape[0], total.shape[1]))
        measured = (found > 0) & (found < limit)
        total += torch.where(measured, found, 0)
        count += measured
    assert total is not None
    assert count is not None
    overall = total.sum() / count.sum().clamp_min(1)
    mean: NDArray[np.float32] = torch.where(count > 0, total / count.clamp_min(1), overall).float().numpy()
    return mean


def depth_baseline(train: PerceptionDataset, val: PerceptionDataset, samples: int = SAMPLES) -> dict[str, float]:
    """Validation metrics of the per-pixel mean of the training depths, by the names of `DepthMetrics`."""
    protocol = val.info.protocols["depth"]
    assert isinstance(protocol, DepthProtocol)
    mean = torch.from_numpy(mean_depth_map(train, samples))[None, None]
    # one process computes it alone
    metrics = DepthMetrics(protocol, all_processes=False)
    for index in range(len(val)):
        truth = torch.from_numpy(val.truth(index, "depth"))[None, None]
        metrics.update(F.interpolate(mean, size=truth.shape[-2:], mode="bilinear", align_corners=False), truth)
    return _floats(metrics.compute())


def segmentation_baseline(train: PerceptionDataset, val: PerceptionDataset, samples: int = SAMPLES) -> dict[str, float]:
    """Validation metrics of the per-pixel mode of the training masks."""
    classes = val.info.classes
    counts: Tensor | None = None
    for index in _spaced(train, samples):
        mask = train.truth(index, "mask")
        if counts is None:
            counts = torch.zeros(len(classes), *mask.shape)
        ids = _nearest(mask, (counts.shape[1], counts.shape[2])).long()
        known = ids < len(classes)
        counts.scatter_add_(0, torch.where(known, ids, 0)[None], known[None].float())
    assert counts is not None
    metrics = SegmentationMetrics(classes, val.info.ignore_index, all_processes=False)
    for index in range(len(val)):
        truth = torch.from_numpy(val.truth(index, "mask")).long()[None]
        # the counts stand in for logits: their maximum is the mode
        metrics.update(F.interpolate(counts[None], size=truth.shape[-2:], mode="nearest"), truth)
    return _floats(metrics.compute())


def referring_baseline(train: PerceptionDataset, val: PerceptionDataset, samples: int = SAMPLES) -> dict[str, float]:
    """Validation metrics of the mean training mask, thresholded where its oIoU on the validation split is best."""
    mean: Tensor | None = None
    picked = list(_spaced(train, samples))
    for index in picked:
        referent = train.truth(index, "referent")
        if mean is None:
            mean = torch.zeros(referent.shape)
        mean += _nearest(referent, (mean.shape[0], mean.shape[1])) / len(picked)
    assert mean is not None
    thresholds = torch.linspace(0, float(mean.max()), 40)[:-1]
    metrics = [ReferringMetrics(all_processes=False) for _ in thresholds]
    for index in range(len(val)):
        truth = torch.from_numpy(val.truth(index, "referent")).long()[None]
        level = F.interpolate(mean[None, None], size=truth.shape[-2:], mode="bilinear", align_corners=False)
        for threshold, metric in zip(thresholds, metrics, strict=True):
            inside = (level > threshold).float()
            metric.update(torch.cat([1 - inside, inside], 1), truth)
    return max((_floats(m.compute()) for m in metrics), key=lambda found: found["oiou"])


def pose_baseline(train: PerceptionDataset, val: PerceptionDataset, samples: int = 256) -> dict[str, float]:
    """Validation metrics of the mean place of each keypoint in its person's box."""
    spec, protocol = val.info.keypoints, val.info.protocols["pose"]
    assert spec is not None
    assert isinstance(protocol, PoseProtocol)
    places: list[list[NDArray[np.float64]]] = [[] for _ in spec.names]
    for index in _spaced(train, samples):
        person = train[index].person
        assert person is not None
        x, y, w, h = person.box
        for place, (u, v, seen) in zip(places, person.keypoints, strict=False):
            if seen > 0:
                place.append(np.array([(u - x) / w, (v - y) / h]))
    mean = torch.tensor(np.array([np.mean(p, 0) if p else (0.5, 0.5) for p in places]), dtype=torch.float32)
    metrics = KeypointMetrics(spec, protocol, all_processes=False)
    metrics.truth = val.keypoint_truth()
    for index in range(len(val)):
        person = val[index].person
        assert person is not None
        box = torch.tensor(person.box)
        metrics.update((mean * box[2:] + box[:2])[None], torch.ones(1, len(spec.names)), [person])
    return _floats(metrics.compute())


def _floats(metrics: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}
