from __future__ import annotations

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor

from diffperc.inference.sliding_window import predict_probabilities, predict_whole, window_starts
from diffperc.metrics import DepthMetrics
from diffperc.types import Batch
from tests.helpers import composed


def test_published_windows() -> None:
    """NYUv2: x = 0 and 160. KITTI: spaced by 57, and one more for the columns the released code leaves out."""
    assert window_starts(640, 480, 2) == [0, 160]
    assert window_starts(1216, 352, 16) == [*(57 * i for i in range(16)), 864]
    assert window_starts(480, 480, 2) == [0]


def ramp_model(batch: Batch) -> torch.Tensor:
    """A "network" that answers with the mean colour, weighted by where in its window a pixel is."""
    h, w = batch.image.shape[-2:]
    weights = torch.linspace(0.5, 1.5, h)[:, None] * torch.linspace(0.8, 1.2, w)
    return batch.image.mean(1, keepdim=True) * weights * 10


def uniform(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


LOOPS = {
    "nyuv2": {
        "delta1": 0.22444507479667664,
        "delta2": 0.4327317178249359,
        "delta3": 0.5979108214378357,
        "abs_rel": 3.668976306915283,
        "sq_rel_m": 19.14496421813965,
        "rmse_m": 3.384963274002075,
        "rmse_log": 1.0931646823883057,
        "log10": 0.3296131491661072,
        "silog": 1.0781782865524292,
    },
    "kitti": {
        "delta1": 0.23277875781059265,
        "delta2": 0.4440349042415619,
        "delta3": 0.6050316095352173,
        "abs_rel": 5.745686054229736,
        "sq_rel_m": 265.8998107910156,
        "rmse_m": 27.522851943969727,
        "rmse_log": 1.1209975481033325,
        "log10": 0.33214908838272095,
        "silog": 1.0983364582061768,
    },
}


@pytest.mark.parametrize(("dataset", "size", "max_depth"), [("nyuv2", (480, 640), 10.0), ("kitti", (352, 1216), 80.0)])
def test_equals_the_authors_test_loops(dataset: str, size: tuple[int, int], max_depth: float) -> None:
    """Windows, mirror images, crop and metrics of the released evaluations, on the same input and "network"."""
    image = uniform(41, 1, 3, *size)
    target = uniform(42, 1, *size) * max_depth * 1.1
    target[uniform(43, 1, *size) < 0.25] = 0

    def model(batch: Batch) -> torch.Tensor:
        h, w = batch.image.shape[-2:]
        weights = torch.linspace(0.5, 1.5, w) * torch.linspace(0.8, 1.2, h)[:, None]
        return batch.image.mean(1, keepdim=True) * weights * max_depth + 0.05

    configured = composed(f"dataset={dataset}").task.protocol
    protocol = instantiate(configured, _convert_="all")
    found = predict_whole(model, Batch(image), protocol.windows, protocol.flip)
    if dataset == "nyuv2":  # in the other the released code leaves columns without a number
        assert found.mean().item() == pytest.approx(5.053320919003648, rel=1e-5)
        assert found.std(unbiased=False).item() == pytest.approx(1.7755049058770163, rel=1e-4)
    metrics = DepthMetrics(protocol.min_depth, protocol.max_depth, protocol.crop, protocol.crop_size)
    metrics.update(found, target[None])
    scores = metrics.compute()
    for name, value in LOOPS[dataset].items():
        assert scores[name].item() == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("size", [(20, 33), (33, 20), (20, 20), (7, 50)])
@pytest.mark.parametrize("flip", [True, False])
def test_equals_a_slow_pixel_by_pixel_mean(size: tuple[int, int], flip: bool) -> None:
    image = uniform(1, 2, 3, *size)
    found = predict_whole(ramp_model, Batch(image), windows=4, flip=flip)
    h, w = size
    side, wide = min(size), w >= h
    windows = max(4, -(-max(size) // side))  # as many as leave no gap
    stride = (max(size) - side) // (windows - 1) if h != w else 0
    total, count = torch.zeros(2, 1, h, w), torch.zeros(h, w)
    for x in [i * stride for i in range(windows)] if h != w else [0]:
        place = (slice(0, side), slice(x, x + side)) if wide else (slice(x, x + side), slice(0, side))
        part = image[:, :, place[0], place[1]]
        dense = ramp_model(Batch(part))
        if flip:
            dense = (dense + ramp_model(Batch(part.flip(-1))).flip(-1)) / 2
        total[:, :, place[0], place[1]] += dense
        count[place] += 1
    covered = count > 0
    torch.testing.assert_close(found[..., covered], (total / count)[..., covered])
    assert torch.isfinite(found).all()


def test_a_constant_stays_a_constant() -> None:
    """Overlaps, uncovered ends and mirrors leave no seam."""
    for size in ((10, 47), (47, 10), (352, 1216)):
        found = predict_whole(lambda b: torch.full_like(b.image[:, :1], 3.0), Batch(uniform(0, 1, 3, *size)), 5, True)
        assert torch.equal(found, torch.full((1, 1, *size), 3.0))


def test_two_windows_are_the_least_of_a_longer_image() -> None:
    assert window_starts(150, 100, 1) == [0, 50]
    assert window_starts(100, 100, 5) == [0]


def test_probabilities_are_of_the_image_itself_by_default() -> None:
    """Without ratios the network sees the image at its own size, once."""
    seen: list[tuple[int, ...]] = []

    def predict(batch: Batch) -> torch.Tensor:
        seen.append(tuple(batch.image.shape[-2:]))
        return torch.zeros(1, 2, *batch.image.shape[-2:])

    predict_probabilities(predict, Batch(torch.zeros(1, 3, 20, 30)), (20, 30))
    assert seen == [(20, 30)]


class Recording:
    """A network that depends on place, image and scene, and remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, batch: Batch) -> Tensor:
        self.sizes.append(len(batch))
        assert batch.scene is not None
        assert batch.caption is not None
        words = torch.tensor([float(len(caption)) for caption in batch.caption])
        ramp = torch.arange(float(batch.image.shape[-1]))
        return batch.image[:, :2] * ramp + (batch.scene + words)[:, None, None, None]


@pytest.mark.parametrize(("pixels", "sizes"), [(0, [2] * 6), (2 * 2 * 20 * 20, [4] * 3), (10**9, [12])])
def test_views_together_give_what_each_alone_gives(pixels: int, sizes: list[int]) -> None:
    batch = Batch(
        torch.rand(2, 3, 20, 50, generator=torch.Generator().manual_seed(0)),
        scene=torch.tensor([3, 8]),
        caption=("a", "four"),
    )
    network = Recording()
    found = predict_whole(network, batch, windows=3, flip=True, pixels=pixels)
    assert network.sizes == sizes
    torch.testing.assert_close(found, predict_whole(Recording(), batch, windows=3, flip=True), rtol=0, atol=1e-6)
    singles = [
        Batch(batch.image[i : i + 1], scene=torch.tensor([n]), caption=(c,))
        for i, n, c in ((0, 3, "a"), (1, 8, "four"))
    ]
    alone = [predict_whole(Recording(), single, 3, True) for single in singles]
    torch.testing.assert_close(found, torch.cat(alone), rtol=0, atol=1e-6)
    network = Recording()
    options = (batch, (20, 50), 16, 8, (0.5, 1.0), True)
    together = predict_probabilities(network, *options, pixels=pixels)
    torch.testing.assert_close(together, predict_probabilities(Recording(), *options), rtol=0, atol=1e-6)
    assert max(network.sizes) > 2 if pixels else set(network.sizes) == {2}
