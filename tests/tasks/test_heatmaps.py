from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from diffperc.tasks.pose.heatmaps import decode, mirrored, to_image


def gaussians(centres: torch.Tensor, size: tuple[int, int] = (64, 48), sigma: float = 2.0) -> torch.Tensor:
    """(B, K, h, w) with maxima of 1 at centres (B, K, 2)."""
    h, w = size
    x = torch.exp(-((torch.arange(w) - centres[..., :1]) ** 2) / (2 * sigma**2))
    y = torch.exp(-((torch.arange(h) - centres[..., 1:]) ** 2) / (2 * sigma**2))
    return y[..., :, None] * x[..., None, :]


def random_centres(seed: int, margin: float, size: tuple[int, int] = (64, 48)) -> torch.Tensor:
    unit = torch.rand(8, 17, 2, generator=torch.Generator().manual_seed(seed))
    return margin + unit * (torch.tensor([size[1], size[0]]) - 1 - 2 * margin)


@pytest.mark.parametrize("blur", [1, 5, 11, 17])
@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("margin", [0.0, 8.0])
def test_finds_the_centre_of_a_gaussian(blur: int, sigma: float, margin: float) -> None:
    """Also of one that the border cuts."""
    centres = random_centres(0, margin)
    points, confidence = decode(gaussians(centres, sigma=sigma), blur)
    assert (points - centres).abs().max() < 0.05
    assert torch.equal(confidence, gaussians(centres, sigma=sigma).amax((2, 3)))


def test_height_does_not_move_the_maximum() -> None:
    maps = gaussians(random_centres(1, 8))
    for factor in (1e-3, 50.0):
        assert torch.allclose(decode(maps * factor)[0], decode(maps)[0], atol=1e-3)


def test_smoothing_helps_against_noise() -> None:
    centres = random_centres(2, 8)
    noisy = gaussians(centres) + 0.05 * torch.randn(8, 17, 64, 48, generator=torch.Generator().manual_seed(0))
    error = [(decode(noisy, blur)[0] - centres).norm(dim=-1).mean() for blur in (1, 11)]
    assert error[1] < 0.35
    assert error[1] < 0.7 * error[0]


@pytest.mark.parametrize("kind", ["zero", "flat", "negative", "noise", "spike", "ridge", "huge", "outside"])
def test_stays_by_the_largest_cell_whatever_the_map(kind: str) -> None:
    noise = torch.randn(4, 5, 16, 12, generator=torch.Generator().manual_seed(0))
    spike = torch.zeros(4, 5, 16, 12)
    spike[..., 15, 0] = 1
    maps = {
        "zero": torch.zeros(4, 5, 16, 12),
        "flat": torch.full((4, 5, 16, 12), 0.3),
        "negative": -noise.abs() - 1,
        "noise": noise,
        "spike": spike,
        "ridge": spike.amax(-1, keepdim=True).expand(4, 5, 16, 12),
        "huge": noise * 1e30,
        "outside": gaussians(torch.tensor([-5.0, 20]).expand(4, 5, 2), (16, 12), 4.0),
    }[kind]
    for blur in (1, 3, 11):
        points, confidence = decode(maps, blur)
        index = maps.flatten(2).argmax(-1)
        largest = torch.stack([index % 12, index // 12], -1)
        assert torch.isfinite(points).all()
        assert (points - largest).abs().max() <= 1
        assert torch.equal(confidence, maps.amax((2, 3)))
        if kind in ("zero", "flat", "negative"):
            assert torch.equal(points, largest.float())


def test_half_precision_is_decoded_in_full() -> None:
    centres = random_centres(3, 8)
    points, confidence = decode(gaussians(centres).bfloat16())
    assert points.dtype == confidence.dtype == torch.float32
    assert (points - centres).abs().max() < 0.1


def test_an_even_side_is_refused() -> None:
    with pytest.raises(ValueError, match="blur must be odd, got 10"):
        decode(torch.zeros(1, 1, 8, 8), 10)


def test_mirrored_is_aligned_and_its_own_inverse() -> None:
    """The left joint's map of the mirrored image is the right joint's, seen from the other side."""
    swap = (0, 2, 1)
    centres = random_centres(4, 8)[:, :3]
    seen = centres[:, list(swap)].clone()
    seen[..., 0] = 47 - seen[..., 0]
    found = mirrored(gaussians(seen), swap)
    assert (found - gaussians(centres)).abs().max() < 1e-5
    assert torch.equal(mirrored(mirrored(found, swap), swap), found)


def test_to_image_follows_the_matrix() -> None:
    """The last heatmap cell's centre is the crop's last pixel centre."""
    points = torch.tensor([[[0.0, 0.0], [47.0, 63.0], [23.5, 31.5]]]).expand(2, 3, 2)
    matrix = torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[0, -2, 300], [2, 0, 5]]])
    image = to_image(points, (64, 48), (256, 192), matrix)
    corners = torch.tensor([[0.0, 0.0], [191.0, 255.0], [95.5, 127.5]])
    assert torch.allclose(image[0], corners)
    assert torch.allclose(image[1], torch.stack([300 - 2 * corners[:, 1], 5 + 2 * corners[:, 0]], -1))


def test_mixed_precision_decodes_in_full() -> None:
    """Autocast computes matrix products in half precision, whatever their inputs."""
    maps = torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(0))
    matrix = torch.tensor([[[1.3, 0.2, 211.7], [-0.1, 1.7, 98.3]]]).expand(2, -1, -1)
    exact, _ = decode(maps)
    in_image = to_image(exact, (32, 24), (128, 96), matrix)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = decode(maps)
        torch.testing.assert_close(mixed, exact, rtol=0, atol=0)
        torch.testing.assert_close(to_image(mixed, (32, 24), (128, 96), matrix), in_image, rtol=0, atol=0)


@pytest.mark.parametrize("blur", [11, 15])  # OpenCV has tables for smaller ones
def test_smoothing_is_opencvs_of_that_side(blur: int) -> None:
    maps = np.random.default_rng(3).random((32, 24)).astype(np.float32) * 0.1
    maps[14, 11] = 1.0
    smoothed = cv2.GaussianBlur(maps, (blur, blur), 0)
    here, _ = decode(torch.from_numpy(maps)[None, None], blur)
    there, _ = decode(torch.from_numpy(smoothed)[None, None], 1)
    torch.testing.assert_close(here, there, rtol=0, atol=1e-3)
