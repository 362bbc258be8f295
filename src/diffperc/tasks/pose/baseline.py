"""The mean position of each keypoint in its person's box."""

from __future__ import annotations

import torch
from torch import Tensor

from diffperc.data import PerceptionDataset
from diffperc.metrics import KeypointMetrics
from diffperc.tasks.baseline import floats, spaced
from diffperc.tasks.pose.protocol import PoseProtocol

_SAMPLES = 256


def pose_baseline(
    train: PerceptionDataset, val: PerceptionDataset, protocol: PoseProtocol, samples: int = _SAMPLES
) -> dict[str, float]:
    """Validation metrics of the mean pose, scaled to each person's box."""
    spec = val.info.keypoints
    assert spec is not None
    mean = _mean_pose(train, len(spec.names), samples)
    metrics = KeypointMetrics(
        spec, protocol.visible, protocol.oks_nms, annotations=val.keypoint_annotations(), all_processes=False
    )
    for index in range(len(val)):
        person = val[index].person
        assert person is not None
        box = torch.tensor(person.box)
        metrics.update((mean * box[2:] + box[:2])[None], torch.ones(1, len(spec.names)), [person])
    return floats(metrics.compute())


def _mean_pose(train: PerceptionDataset, keypoints: int, samples: int) -> Tensor:
    """(K, 2) in fractions of the box; the middle of it for a keypoint that is never labelled."""
    total = torch.zeros(keypoints, 2, dtype=torch.float64)
    count = torch.zeros(keypoints, 1, dtype=torch.float64)
    for index in spaced(train, samples):
        person = train[index].person
        assert person is not None
        if not person.keypoints:
            continue
        box = torch.tensor(person.box, dtype=torch.float64)
        joints = torch.tensor(person.keypoints, dtype=torch.float64)
        labelled = joints[:, 2:] > 0
        total += torch.where(labelled, (joints[:, :2] - box[:2]) / box[2:], 0)
        count += labelled
    return torch.where(count > 0, total / count, 0.5).float()
