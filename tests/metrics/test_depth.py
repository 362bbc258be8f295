from __future__ import annotations

from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from diffperc.metrics import DepthMetrics
from diffperc.metrics.depth import valid_pixels
from diffperc.tasks.depth import DepthProtocol
from tests.helpers import composed

NYU = DepthProtocol(name="nyu_eigen", min_depth=1e-3, max_depth=10.0, crop=(45, 471, 41, 601), crop_size=(480, 640))
PLAIN = DepthProtocol(name="plain", min_depth=1e-3, max_depth=10.0)


def caps(protocol: DepthProtocol) -> tuple[Any, ...]:
    """What of a protocol the metric reads."""
    return protocol.min_depth, protocol.max_depth, protocol.crop, protocol.crop_size


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


# on KITTI's frames, Garg's crop
PUBLISHED_KITTI = {
    "delta1": 0.8538676500320435,
    "delta2": 0.9529384970664978,
    "delta3": 0.9734413623809814,
    "abs_rel": 0.3396184154009065,
    "sq_rel_m": 1.3681240245460347,
    "rmse_m": 6.014724863855243,
    "rmse_log": 0.30220926880215454,
    "log10": 0.0708936030259652,
    "silog": 0.2928216340273466,
}

PUBLISHED_KITTI_EIGEN = {
    "delta1": 0.8536334037780762,
    "delta2": 0.952896773815155,
    "delta3": 0.9734746217727661,
    "abs_rel": 0.3228472107187859,
    "sq_rel_m": 1.3045563012105898,
    "rmse_m": 6.018847616030065,
    "rmse_log": 0.30037728560923027,
    "log10": 0.07084154225084449,
    "silog": 0.29094957526491594,
}


def example(
    first_seed: int = 21, size: tuple[int, int] = (480, 640), max_depth: float = 10.0
) -> tuple[torch.Tensor, torch.Tensor]:
    def uniform(seed: int) -> torch.Tensor:
        return torch.rand(*size, generator=torch.Generator().manual_seed(first_seed + seed))

    target = uniform(0) * max_depth * 1.1
    target[uniform(1) < 0.25] = 0
    prediction = (target + 0.05 * max_depth * uniform(2)) * (0.8 + 0.4 * uniform(3)) + 0.01
    return prediction[None, None], target[None, None]


@pytest.mark.parametrize(
    ("name", "arguments", "count", "published"),
    [
        ("nyu_eigen", (21, (480, 640), 10.0), 162661, PUBLISHED),
        ("kitti_garg", (31, (352, 1216), 80.0), 158856, PUBLISHED_KITTI),
        ("kitti_eigen", (31, (352, 1216), 80.0), 157208, PUBLISHED_KITTI_EIGEN),
    ],
)
def test_equal_the_authors_metrics_with_the_configured_protocol(
    name: str, arguments: tuple[int, tuple[int, int], float], count: int, published: dict[str, float]
) -> None:
    protocol = instantiate(composed(f"protocol@task.protocol={name}", "dataset=nyuv2").task.protocol)
    prediction, target = example(*arguments)
    assert int(valid_pixels(target, *caps(protocol)).sum()) == count
    metrics = DepthMetrics(*caps(protocol))
    metrics.update(prediction, target)
    found = metrics.compute()
    for metric, value in published.items():
        assert found[metric].item() == pytest.approx(value, rel=2e-6), metric


def test_images_are_averaged_not_pixels() -> None:
    """One image 1 m off in one pixel of target, another perfect in fifteen: the RMSE is (1 + 0) / 2."""
    target = torch.zeros(2, 1, 4, 4)
    target[0, 0, 0, 0] = 2
    target[1] = 3
    target[1, 0, 0, 0] = 0
    prediction = torch.full((2, 1, 4, 4), 3.0)
    metrics = DepthMetrics(*caps(PLAIN))
    metrics.update(prediction, target)
    assert metrics.compute()["rmse_m"].item() == pytest.approx(0.5)
    assert metrics.compute()["abs_rel"].item() == pytest.approx(0.25)


def test_a_perfect_prediction_is_perfect_and_a_shifted_one_is_not() -> None:
    target = torch.rand(1, 1, 24, 32) * 5 + 1
    metrics = DepthMetrics(*caps(PLAIN))
    metrics.update(target, target)
    perfect = metrics.compute()
    assert [perfect[f"delta{i}"].item() for i in (1, 2, 3)] == [1, 1, 1]
    assert all(perfect[k].item() == 0 for k in PUBLISHED if not k.startswith("delta"))
    metrics.reset()
    metrics.update(target.roll(1, -1), target)
    assert metrics.compute()["rmse_m"] > 0.5


def test_crop_scales_with_the_target_and_caps_are_exclusive() -> None:
    quarter = torch.full((120, 160), 2.0)
    inside = valid_pixels(quarter, *caps(NYU)).nonzero()
    assert inside.min(0).values.tolist() == [11, 10]
    assert inside.max(0).values.tolist() == [117, 149]
    assert valid_pixels(torch.tensor([[0.0, 0.001, 0.002, 9.99, 10.0]]), *caps(PLAIN)).tolist() == [
        [False, False, True, True, False]
    ]


def test_what_is_no_number_counts_as_the_caps_and_empty_images_are_left_out() -> None:
    target = torch.tensor([2.0, 0.0])[:, None, None, None].expand(2, 1, 2, 2)
    prediction = torch.full((2, 1, 2, 2), torch.inf)
    metrics = DepthMetrics(*caps(PLAIN))
    metrics.update(prediction, target)
    assert metrics.compute()["rmse_m"].item() == pytest.approx(8.0)
    nothing = DepthMetrics(*caps(PLAIN))
    nothing.update(prediction[1:], target[1:])
    assert torch.isnan(nothing.compute()["rmse_m"])
