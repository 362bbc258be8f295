from __future__ import annotations

import pytest
import torch

from diffperc.inference.whole_image import predict_whole, window_starts
from diffperc.types import Batch


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


def test_equals_the_authors_test_loop() -> None:
    """Mean and deviation of the prediction that the released evaluation makes of the same input and "network"."""
    image = uniform(41, 1, 3, 480, 640)

    def model(batch: Batch) -> torch.Tensor:
        h, w = batch.image.shape[-2:]
        weights = torch.linspace(0.5, 1.5, w) * torch.linspace(0.8, 1.2, h)[:, None]
        return batch.image.mean(1, keepdim=True) * weights * 10 + 0.05

    found = predict_whole(model, Batch(image), windows=2, flip=True)
    assert found.mean().item() == pytest.approx(5.053320919003648, rel=1e-5)
    assert found.std(unbiased=False).item() == pytest.approx(1.7755049058770163, rel=1e-4)


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
