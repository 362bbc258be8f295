"""Windows, scales and mirror images against a direct, slow implementation on odd sizes (methods.md 1.1, 2.2)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from diffperc.inference.sliding_window import predict_probabilities
from diffperc.types import Batch


def network(batch: Batch) -> Tensor:
    """Logits that depend on the place in the window and on the pixels."""
    image = batch.image
    ramp = torch.linspace(0, 1, image.shape[-1]) + torch.linspace(0, 2, image.shape[-2])[:, None]
    return torch.stack([image[:, 0] * 3, image[:, 1] + ramp, image[:, 2] * ramp], 1)


def slow(image: Tensor, window: int, stride: int, size: tuple[int, int]) -> Tensor:
    """Pixel by pixel: the mean of the logits of all windows that hold the pixel."""
    height, width = image.shape[-2:]
    tall, wide = min(window, height), min(window, width)
    tops = sorted({min(t, height - tall) for t in range(0, height - tall + stride, stride)})
    lefts = sorted({min(x, width - wide) for x in range(0, width - wide + stride, stride)})
    result = torch.zeros(1, 3, height, width)
    for y in range(height):
        for x in range(width):
            found = [
                network(Batch(image[..., t : t + tall, u : u + wide]))[..., y - t, x - u]
                for t in tops
                for u in lefts
                if t <= y < t + tall and u <= x < u + wide
            ]
            result[..., y, x] = torch.stack(found).mean(0)
    return F.interpolate(result, size=size, mode="bilinear").softmax(1)


@pytest.mark.parametrize(("height", "width"), [(13, 21), (9, 9), (8, 30)])
def test_windows_and_mirror_images(height: int, width: int) -> None:
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))
    found = predict_probabilities(network, Batch(image), (11, 17), 9, 6, (1.0,), flip=True)
    expected = (slow(image, 9, 6, (11, 17)) + slow(image.flip(-1), 9, 6, (11, 17)).flip(-1)) / 2
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("height", "width"), [(12, 16), (13, 21)])
def test_scales_average_probabilities_not_logits(height: int, width: int) -> None:
    """Sides are rounded to whole pixels; each scale goes by windows, and comes with its mirror image."""
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    found = predict_probabilities(network, Batch(image), (height, width), 9, 6, (0.7, 1.0, 1.5), flip=True)
    expected = []
    for ratio in (0.7, 1.0, 1.5):
        size = (round(height * ratio), round(width * ratio))
        scaled = F.interpolate(image, size=size, mode="bilinear")
        for mirror in (False, True):
            shown = slow(scaled.flip(-1) if mirror else scaled, 9, 6, (height, width))
            expected.append(shown.flip(-1) if mirror else shown)
    torch.testing.assert_close(found, torch.stack(expected).mean(0))


def test_the_published_window_covers_an_ade20k_image() -> None:
    """512 pixels every 341: 683 x 512 gives two windows, the last one moved back to the border."""
    starts = []

    def recording(batch: Batch) -> Tensor:
        starts.append(int(batch.image[0, 0, 0, 0]))
        return batch.image.repeat(1, 1, 1, 1)

    image = torch.arange(683.0).expand(1, 3, 512, 683)
    predict_probabilities(recording, Batch(image), (512, 683), 512, 341, (1.0,), False)
    assert starts == [0, 171]
