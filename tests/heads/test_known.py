"""Numbers of heads that follow from the methods' descriptions."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from diffperc.heads import DeconvHead, RefineHead, UPerHead
from diffperc.types import Features, FeatureSpec


def test_upernets_pooled_maps_have_the_published_sides() -> None:
    """methods.md 2.2: a pyramid pooling module of sides 1, 2, 3 and 6."""
    head = UPerHead(FeatureSpec((4, 6), (8, 16)), 3, channels=8)
    pools = [module.output_size for module in head.modules() if isinstance(module, torch.nn.AdaptiveAvgPool2d)]
    assert pools == [1, 2, 3, 6]


def test_refine_head_aligns_corners_between_levels() -> None:
    """methods.md 1.2: the corners of a coarser map stay where they are when it is enlarged."""
    torch.manual_seed(0)
    head = RefineHead(FeatureSpec((2, 2), (8, 16)), 2, channels=4).eval()
    coarse = torch.arange(9.0).reshape(1, 1, 3, 3).repeat(1, 2, 1, 1)
    fine = torch.zeros(1, 2, 6, 6)
    seen: list[torch.Tensor] = []
    head.levels[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    head(Features((fine, coarse), FeatureSpec((2, 2), (8, 16))))
    expected = F.interpolate(coarse, size=(6, 6), mode="bilinear", align_corners=True)
    torch.testing.assert_close(seen[0][:, :2], expected)


def test_deconvolutions_double_up_to_the_stride_of_the_output() -> None:
    """methods.md 2.3: heatmaps at a quarter of the image from a map at an eighth need one doubling, not three."""
    spec = FeatureSpec((8,), (8,))
    doublings = [
        sum(
            isinstance(m, torch.nn.ConvTranspose2d) for m in DeconvHead(spec, 1, filters=4, out_stride=stride).modules()
        )
        for stride in (1, 2, 4, 8)
    ]
    assert doublings == [3, 2, 1, 0]
