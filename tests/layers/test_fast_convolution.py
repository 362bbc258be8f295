from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from diffperc.layers.fast_convolution import FastConvolution
from diffperc.models import make_fast

# channels, outputs, kernel, stride, padding, height, width; those of a VAE and a UNet
KINDS = {
    "winograd": (128, 160, 3, 1, 1, 32, 32),
    "winograd, odd sides": (160, 128, 3, 1, 1, 33, 47),
    "coarse": (128, 128, 3, 1, 1, 8, 8),
    "halving": (128, 128, 3, 2, 0, 33, 33),
    "pointwise": (512, 512, 1, 1, 0, 16, 16),
    "wide": (1280, 1280, 3, 1, 1, 32, 32),
}


def deviation(found: torch.Tensor, exact: torch.Tensor) -> float:
    return ((found.double() - exact).abs().max() / exact.std()).item()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_it_is_the_convolution(kind: str, channels_last: bool) -> None:
    torch.manual_seed(0)
    channels, outputs, kernel, stride, padding, height, width = KINDS[kind]
    conv = nn.Conv2d(channels, outputs, kernel, stride, padding)
    image = torch.randn(2, channels, height, width)
    if channels_last:
        image = image.to(memory_format=torch.channels_last)
    assert conv.bias is not None
    exact = F.conv2d(image.double(), conv.weight.double(), conv.bias.double(), stride, padding)
    assert FastConvolution.can_replace(conv)
    fast = FastConvolution(conv)
    with torch.inference_mode():
        assert deviation(fast(image), exact) < 4e-5
        # arranged for the first size, and right for every other
        smaller = image[:1, :, : height // 2 + 3, : width // 2 + 1]
        again = F.conv2d(smaller.double(), conv.weight.double(), conv.bias.double(), stride, padding)
        assert deviation(fast(smaller), again) < 4e-5


def test_it_is_the_convolution_in_bfloat16() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(128, 128, 3, padding=1, bias=False).bfloat16()
    assert FastConvolution.can_replace(conv) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if not FastConvolution.can_replace(conv):
        pytest.skip("this CPU does not compute in bfloat16")
    image = torch.randn(1, 128, 40, 40).bfloat16()
    exact = F.conv2d(image.double(), conv.weight.double(), padding=1)
    with torch.inference_mode():
        assert deviation(FastConvolution(conv)(image), exact) < 0.05


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(64, 64, 3, padding=1),
        nn.Conv2d(256, 256, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(128, 128, 3, padding="same"),
        nn.Conv2d(128, 128, 3, padding=1).double(),
        nn.ConvTranspose2d(128, 128, 3),
        nn.Linear(1000, 1000),
    ],
    ids=str,
)
def test_other_kinds_stay(conv: nn.Module) -> None:
    network = nn.Sequential(conv)
    assert make_fast(network) == 0
    assert network[0] is conv


def test_weights_are_released_as_they_are_arranged() -> None:
    network = nn.Sequential(nn.Conv2d(3, 128, 3), nn.Sequential(nn.Conv2d(128, 128, 3, padding=1)))
    weight = network[1][0].weight
    assert make_fast(network) == 1
    with torch.inference_mode():
        network(torch.randn(1, 3, 40, 40))
    assert not list(network[1].parameters())
    held = [value for value in vars(network[1][0]).values() if value is weight]
    assert held == []
