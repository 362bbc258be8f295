from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from diffperc.layers.fast_norm import FastGroupNorm

SHAPES = [(1, 128, 400, 400), (2, 320, 17, 9), (3, 64, 2, 3), (2, 64, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_it_is_group_normalisation(shape: tuple[int, ...], channels_last: bool) -> None:
    torch.manual_seed(0)
    norm = nn.GroupNorm(32, shape[1], eps=1e-6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    image = torch.randn(shape) * torch.linspace(0.5, 3, shape[1]).view(1, -1, *[1] * (len(shape) - 2)) + 1
    if channels_last and len(shape) == 4:
        image = image.to(memory_format=torch.channels_last)
    exact = F.group_norm(image.double(), 32, norm.weight.double(), norm.bias.double(), 1e-6)
    assert FastGroupNorm.can_replace(norm)
    with torch.inference_mode():
        found = FastGroupNorm(norm)(image)
    assert found.stride() == image.stride()
    assert ((found - exact).abs().max() / exact.std()).item() < 1e-5
