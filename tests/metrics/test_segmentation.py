from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from diffperc.metrics.segmentation import SegmentationMetrics


def uniform(seed: int) -> Tensor:
    return torch.rand(4, 64, 64, generator=torch.Generator().manual_seed(seed))


def scores(ids: Tensor, classes: int) -> Tensor:
    """(B, K, H, W) whose largest channel is `ids`."""
    return F.one_hot(ids, classes).movedim(-1, 1).float()


def example() -> tuple[Tensor, Tensor]:
    predicted = (uniform(64) * 150).long()
    truth = torch.where(uniform(65) < 0.6, predicted, (uniform(66) * 150).long())
    truth[uniform(67) < 0.05] = 255
    return scores(predicted, 150), truth


def test_equal_mmsegmentations_metrics() -> None:
    """Numbers from running mmsegmentation 0.30 on the same input, in two batches here."""
    metrics = SegmentationMetrics([str(i) for i in range(150)])
    prediction, truth = example()
    for part in (slice(0, 3), slice(3, 4)):
        metrics.update(prediction[part], truth[part])
    found = metrics.compute()
    assert found["aacc"].item() == pytest.approx(0.5982257649781435, rel=1e-6)
    assert found["miou"].item() == pytest.approx(0.4268013681507995, rel=1e-6)
    assert found["macc"].item() == pytest.approx(0.5982365422486582, rel=1e-6)
    first = [0.45569620253164556, 0.38571428571428573, 0.49333333333333335, 0.48936170212765956, 0.4013605442176871]
    assert [metrics.per_class()[str(i)][0] for i in range(5)] == pytest.approx(first, rel=1e-12)


def test_a_case_by_hand() -> None:
    """Class 2 is only predicted: IoU 0, no accuracy. Class 3 does not occur at all."""
    metrics = SegmentationMetrics(("sky", "road", "car", "tree"))
    metrics.update(scores(torch.tensor([[[0, 0, 1], [2, 1, 3]]]), 4), torch.tensor([[[0, 1, 1], [1, 1, 255]]]))
    by_class = metrics.per_class()
    assert by_class["sky"] == (0.5, 1.0)
    assert by_class["road"] == (0.5, 0.5)
    assert by_class["car"][0] == 0
    assert math.isnan(by_class["car"][1])
    assert all(map(math.isnan, by_class["tree"]))
    found = metrics.compute()
    assert found["miou"].item() == pytest.approx(1 / 3)
    assert found["macc"].item() == pytest.approx(0.75)
    assert found["aacc"].item() == pytest.approx(3 / 5)


def test_perfect_is_one_shifted_is_not_and_ignored_pixels_never_count() -> None:
    prediction, truth = example()
    perfect = torch.where(truth == 255, 7, truth)
    metrics = SegmentationMetrics([str(i) for i in range(150)])
    metrics.update(scores(perfect, 150), truth)
    assert {k: v.item() for k, v in metrics.compute().items()} == {"miou": 1, "macc": 1, "aacc": 1}
    metrics.reset()
    metrics.update(scores(perfect.roll(1, 2), 150), truth)
    assert metrics.compute()["miou"] < 0.1
    nothing = SegmentationMetrics(("a", "b"))
    nothing.update(prediction[:, :2], torch.full((4, 64, 64), 255))
    assert all(torch.isnan(v) for v in nothing.compute().values())


def test_processes_add_their_pixels() -> None:
    """As torchmetrics gathers them: one list of states a process."""
    metrics = SegmentationMetrics(("a", "b"))
    metrics.update(scores(torch.tensor([[[0, 1]]]), 2), torch.tensor([[[0, 0]]]))
    other = torch.tensor([[0, 0], [0, 2]])
    metrics.sync(dist_sync_fn=lambda state, group: [state, other], distributed_available=lambda: True)
    assert metrics.confmat.tolist() == [[1, 1], [0, 2]]
    metrics.unsync()
    assert metrics.confmat.tolist() == [[1, 1], [0, 0]]


def test_wrong_shapes_are_named() -> None:
    metrics = SegmentationMetrics(("a", "b", "c"))
    with pytest.raises(ValueError, match=r"prediction must be \(B, K, H, W\) with K=3, got \(1, 2, 4, 4\)"):
        metrics.update(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"target must be \(B, H, W\) with B=1, H=4, W=4, got \(1, 8, 8\)"):
        metrics.update(torch.zeros(1, 3, 4, 4), torch.zeros(1, 8, 8, dtype=torch.int64))
