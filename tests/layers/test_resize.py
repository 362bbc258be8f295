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


def test_corners_are_aligned_only_if_wanted() -> None:
    """Two cells to four: pixel centres at -1/4, 1/4, 3/4 and 5/4 of a cell, or at thirds from corner to corner."""
    ramp = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2).expand(1, 1, 2, 2)
    torch.testing.assert_close(resize_bilinear(ramp, (2, 4))[0, 0, 0], torch.tensor([0, 0.25, 0.75, 1]))
    torch.testing.assert_close(resize_bilinear(ramp, (2, 4), True)[0, 0, 0], torch.tensor([0, 1 / 3, 2 / 3, 1]))
