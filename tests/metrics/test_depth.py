from __future__ import annotations

import pytest
import torch

from diffperc.metrics import DepthMetrics
from diffperc.metrics.depth import valid_pixels
from diffperc.protocols import DepthProtocol

NYU = DepthProtocol("nyu_eigen", min_depth=1e-3, max_depth=10.0, crop=(45, 471, 41, 601), crop_size=(480, 640))
PLAIN = DepthProtocol("plain", min_depth=1e-3, max_depth=10.0)
# the authors' evaluation on the input below
PUBLISHED = {
    "delta1": 0.8484640121459961,
    "delta2": 0.9504306316375732,
    "delta3": 0.9714866876602173,
    "abs_rel": 0.30144933446638633,
    "sq_rel_m": 0.15980635863452738,
    "rmse_m": 0.7526678787580319,
    "rmse_log": 0.30674009859844076,
    "log10": 0.07207059070450893,
    "silog": 0.2967875731734199,
}


def uniform(seed: int) -> torch.Tensor:
    return torch.rand(480, 640, generator=torch.Generator().manual_seed(seed))


def example() -> tuple[torch.Tensor, torch.Tensor]:
    truth = uniform(21) * 10.0 * 1.1
    truth[uniform(22) < 0.25] = 0
    prediction = (truth + 0.05 * 10.0 * uniform(23)) * (0.8 + 0.4 * uniform(24)) + 0.01
    return prediction[None, None], truth[None, None]


def test_equal_the_authors_metrics_on_nyus_protocol() -> None:
    prediction, truth = example()
    assert int(valid_pixels(truth, NYU).sum()) == 162661
    metrics = DepthMetrics(NYU)
    metrics.update(prediction, truth)
    found = metrics.compute()
    for name, value in PUBLISHED.items():
        assert found[name].item() == pytest.approx(value, rel=2e-6), name


def test_images_are_averaged_not_pixels() -> None:
    """One image 1 m off in one pixel of truth, another perfect in fifteen: the RMSE is (1 + 0) / 2."""
    truth = torch.zeros(2, 1, 4, 4)
    truth[0, 0, 0, 0] = 2
    truth[1] = 3
    truth[1, 0, 0, 0] = 0
    prediction = torch.full((2, 1, 4, 4), 3.0)
    metrics = DepthMetrics(PLAIN)
    metrics.update(prediction, truth)
    assert metrics.compute()["rmse_m"].item() == pytest.approx(0.5)
    assert metrics.compute()["abs_rel"].item() == pytest.approx(0.25)


def test_a_perfect_prediction_is_perfect_and_a_shifted_one_is_not() -> None:
    truth = torch.rand(1, 1, 24, 32) * 5 + 1
    metrics = DepthMetrics(PLAIN)
    metrics.update(truth, truth)
    perfect = metrics.compute()
    assert [perfect[f"delta{i}"].item() for i in (1, 2, 3)] == [1, 1, 1]
    assert all(perfect[k].item() == 0 for k in PUBLISHED if not k.startswith("delta"))
    metrics.reset()
    metrics.update(truth.roll(1, -1), truth)
    assert metrics.compute()["rmse_m"] > 0.5


def test_crop_scales_with_the_truth_and_caps_are_exclusive() -> None:
    quarter = torch.full((120, 160), 2.0)
    inside = valid_pixels(quarter, NYU).nonzero()
    assert inside.min(0).values.tolist() == [11, 10]
    assert inside.max(0).values.tolist() == [117, 149]
    assert valid_pixels(torch.tensor([[0.0, 0.001, 0.002, 9.99, 10.0]]), PLAIN).tolist() == [
        [False, False, True, True, False]
    ]


def test_what_is_no_number_counts_as_the_caps_and_empty_images_are_left_out() -> None:
    truth = torch.tensor([2.0, 0.0])[:, None, None, None].expand(2, 1, 2, 2)
    prediction = torch.full((2, 1, 2, 2), torch.inf)
    metrics = DepthMetrics(PLAIN)
    metrics.update(prediction, truth)
    assert metrics.compute()["rmse_m"].item() == pytest.approx(8.0)
    nothing = DepthMetrics(PLAIN)
    nothing.update(prediction[1:], truth[1:])
    assert torch.isnan(nothing.compute()["rmse_m"])
