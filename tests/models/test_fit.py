from __future__ import annotations

import pytest
import torch

from diffperc.models.fit import Fit, PadFit, ResizeFit
from diffperc.types import Features, FeatureSpec

SPEC = FeatureSpec((2, 2, 2, 2), (8, 16, 32, 64))


def maps(image: torch.Tensor) -> Features:
    return Features(tuple(torch.rand(1, 2, image.shape[-2] // s, image.shape[-1] // s) for s in SPEC.strides), SPEC)


def test_published_sizes() -> None:
    """VPD: 480 and 352 padded to 512 and 384, 15 and 11 cells of the 1/32 map kept. Meta Prompts: 480 to 512, 352 to 448."""
    for side, padded, cells in ((480, 512, 15), (352, 384, 11)):
        image = PadFit().prepare(torch.rand(1, 3, side, side), 64)
        assert image.shape[-2:] == (padded, padded)
        assert PadFit().restore(maps(image), (side, side)).maps[2].shape[-1] == cells
    assert ResizeFit(extra=1).prepare(torch.rand(1, 3, 480, 480), 64).shape[-1] == 512
    assert ResizeFit(extra=1).prepare(torch.rand(1, 3, 512, 512), 64).shape[-1] == 576
    assert ResizeFit(extra=2).prepare(torch.rand(1, 3, 352, 352), 64).shape[-1] == 448
    assert ResizeFit().prepare(torch.rand(1, 3, 128, 130), 64).shape[-2:] == (128, 192)
    restored = ResizeFit(extra=1).restore(maps(torch.rand(1, 3, 512, 512)), (480, 480))
    assert restored.maps[0].shape[-2:] == (60, 60)


def test_padding_is_grey_and_leaves_the_image() -> None:
    image = torch.rand(2, 3, 50, 64)
    padded = PadFit().prepare(image, 64)
    assert torch.equal(padded[..., :50, :], image)
    assert torch.equal(padded[..., 50:, :] * 2 - 1, torch.zeros(2, 3, 14, 64))


def test_padding_and_cropping_return_the_same_pixels() -> None:
    """With a stride-1 "network" that copies its input, the output equals the image."""
    image = torch.rand(1, 3, 37, 90)
    assert torch.equal(PadFit().finish(PadFit().prepare(image, 64), (37, 90)), image)


@pytest.mark.parametrize("fit", [PadFit(), ResizeFit(), ResizeFit(extra=1)])
@pytest.mark.parametrize("size", [(64, 64), (65, 127), (200, 33)])
def test_any_size_comes_back_at_its_size(fit: Fit, size: tuple[int, int]) -> None:
    image = fit.prepare(torch.rand(1, 3, *size), 64)
    assert image.shape[-2] % 64 == image.shape[-1] % 64 == 0
    restored = fit.restore(maps(image), size)
    assert restored.maps[0].shape[-2:] == (-(-size[0] // 8), -(-size[1] // 8))
    full = restored.maps[0].repeat_interleave(8, -1).repeat_interleave(8, -2)
    assert fit.finish(full, size).shape[-2:] == size


def test_a_horizontal_ramp_stays_where_it_is_in_the_image() -> None:
    """Horizontal positions in the features agree with those of the pixels, for both ways of fitting."""
    size = (96, 160)
    ramp = torch.linspace(0, 1, size[1]).expand(1, 3, *size)
    for fit in (PadFit(), ResizeFit(), ResizeFit(extra=1)):
        image = fit.prepare(ramp, 64)
        coarse = torch.nn.functional.avg_pool2d(image[:, :2], 8)
        spec = FeatureSpec((2,), (8,))
        restored = fit.restore(Features((coarse,), spec), size).maps[0]
        full = torch.nn.functional.interpolate(restored, scale_factor=8, mode="bilinear")
        back = fit.finish(full, size)
        assert (back - ramp[:, :2])[..., 8:-8].abs().max() < 0.02
