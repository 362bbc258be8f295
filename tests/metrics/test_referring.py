from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from diffperc.metrics.referring import ReferringMetrics

# the authors' evaluation on the input below
PUBLISHED = {
    "miou": 0.5217077055959101,
    "oiou": 0.5094916250367323,
    "p50": 0.6666666666666666,
    "p60": 0.5833333333333334,
    "p70": 0.4166666666666667,
    "p80": 0.16666666666666666,
    "p90": 0.08333333333333333,
}


def normal(seed: int, size: int) -> Tensor:
    return torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(seed))


def example() -> tuple[Tensor, Tensor]:
    """Six images with one to three sentences each: (12, 2, 64, 64) logits, (12, 64, 64) truth; the last has no truth."""
    logits, truth = [], []
    for i in range(6):
        blob = F.interpolate(normal(100 + i, 8), (64, 64), mode="bilinear")
        for j in range(i % 3 + 1):
            d = blob + 0.06 * (i + 1) * (j + 1) * normal(1000 + 10 * i + j, 64) - 0.35
            logits.append(torch.cat([-d, d], 1))
            truth.append((blob[:, 0] > 0.4).long() if i != 5 else torch.zeros(1, 64, 64, dtype=torch.int64))
    return torch.cat(logits), torch.cat(truth)


def masks(*rows: list[int]) -> Tensor:
    """(B, 1, W) from one row a sentence."""
    return torch.tensor(rows)[:, None]


def scores(mask: Tensor) -> Tensor:
    return F.one_hot(mask, 2).movedim(-1, 1).float()


def test_equal_the_authors_metrics() -> None:
    logits, truth = example()
    metrics = ReferringMetrics()
    for part in (slice(0, 5), slice(5, 12)):
        metrics.update(logits[part], truth[part])
    # sums of the table of intersections and unions
    assert (metrics.intersection.item(), metrics.union.item()) == (8669, 17015)
    found = metrics.compute()
    assert found.keys() == PUBLISHED.keys()
    for name, value in PUBLISHED.items():
        assert found[name].item() == pytest.approx(value, rel=1e-6), name


def test_a_case_by_hand() -> None:
    """IoU 1/2, 3/5 and 0 of 0: thresholds are reached exactly, an empty union is 0."""
    truth = masks([1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0])
    metrics = ReferringMetrics()
    metrics.update(scores(masks([1, 0, 0, 0, 0], [1, 1, 1, 0, 1], [0, 0, 0, 0, 0])), truth)
    found = {k: v.item() for k, v in metrics.compute().items()}
    assert found["oiou"] == pytest.approx(4 / 7)
    assert found["miou"] == pytest.approx((1 / 2 + 3 / 5) / 3)
    assert [found[f"p{x}"] for x in (50, 60, 70, 80, 90)] == pytest.approx([2 / 3, 1 / 3, 0, 0, 0])


def test_every_threshold_is_reached_by_equality() -> None:
    truth = torch.ones(1, 1, 10, dtype=torch.int64)
    for tenths in range(5, 10):
        metrics = ReferringMetrics()
        metrics.update(scores((torch.arange(10) < tenths).long()[None, None]), truth)
        reached = [k for k, v in metrics.compute().items() if k.startswith("p") and v == 1]
        assert reached == [f"p{x}0" for x in range(5, tenths + 1)]


def test_perfect_is_one_and_shifted_is_not() -> None:
    truth = example()[1][:9]
    metrics = ReferringMetrics()
    metrics.update(scores(truth), truth)
    assert {v.item() for v in metrics.compute().values()} == {1.0}
    metrics.reset()
    metrics.update(scores(truth.roll(8, 2)), truth)
    assert metrics.compute()["miou"] < 0.8


def test_processes_add_their_sentences() -> None:
    """As torchmetrics gathers them: one list of states a process."""
    logits, truth = example()
    metrics = ReferringMetrics()
    metrics.update(logits, truth)
    alone = metrics.compute()
    metrics.sync(dist_sync_fn=lambda state, group: [state, state], distributed_available=lambda: True)
    assert metrics.sentences.item() == 24
    assert metrics.union.item() == 2 * 17015
    metrics.unsync()
    assert metrics.compute() == alone


def test_no_sentence_is_no_number() -> None:
    metrics = ReferringMetrics()
    metrics.update(torch.zeros(0, 2, 4, 4), torch.zeros(0, 4, 4, dtype=torch.int64))
    assert torch.isnan(metrics.compute()["miou"])
