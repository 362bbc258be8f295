from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from diffperc.layers.resize import resize_bilinear


@pytest.mark.parametrize("align_corners", [False, True])
def test_resizes_to_the_size_and_returns_a_map_that_has_it(align_corners: bool) -> None:
    dense = torch.rand(2, 3, 5, 7)
    expected = F.interpolate(dense, size=(8, 9), mode="bilinear", align_corners=align_corners)
    assert torch.equal(resize_bilinear(dense, (8, 9), align_corners), expected)
    assert resize_bilinear(dense, (5, 7), align_corners) is dense
