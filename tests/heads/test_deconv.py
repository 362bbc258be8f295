from __future__ import annotations

import pytest
import torch

from diffperc.heads import DeconvHead
from diffperc.types import Features, FeatureSpec

FOUR = FeatureSpec((32, 64, 96, 128), (8, 16, 32, 64))


def features(spec: FeatureSpec, height: int, width: int) -> Features:
    return Features(
        tuple(torch.randn(2, c, height // s, width // s) for c, s in zip(spec.channels, spec.strides, strict=True)),
        spec,
    )


@pytest.mark.parametrize("spec", [FOUR, FeatureSpec((50,), (8,))])
def test_decodes_to_the_size_of_the_image(spec: FeatureSpec) -> None:
    head = DeconvHead(spec, 3, neck_channels=32, filters=8, channels=8)
    assert head(head.aggregate(features(spec, 128, 192))).shape == (2, 3, 128, 192)


def test_published_shapes_have_the_authors_tensors() -> None:
    """VPD's depth model (methods.md 1.3): 3520 to 1536 channels, 1536-32-32-32 deconvolutions, 32-192, 192-192, 192-1."""
    head = DeconvHead(FeatureSpec((320, 640, 1280, 1280), (8, 16, 32, 64)), 1)
    shapes = [tuple(p.shape) for p in head.parameters() if p.ndim == 4]
    assert shapes == [
        (320, 320, 3, 3),
        (320, 320, 3, 3),
        (640, 640, 3, 3),
        (1536, 3520, 1, 1),
        (1536, 32, 2, 2),
        (32, 32, 2, 2),
        (32, 32, 2, 2),
        (192, 32, 3, 3),
        (192, 192, 3, 3),
        (1, 192, 3, 3),
    ]


def test_three_maps_are_four_whose_coarsest_says_nothing() -> None:
    """BK-SDM's tiny UNet has no fourth stage."""
    four = DeconvHead(FOUR, 1, neck_channels=32, filters=8, channels=8).eval()
    three = DeconvHead(
        FeatureSpec(FOUR.channels[:3], FOUR.strides[:3]), 1, neck_channels=32, filters=8, channels=8
    ).eval()
    given = features(FOUR, 128, 192)
    with torch.no_grad():
        weight = four.aggregation.fuse[0].weight
        weight[:, sum(FOUR.channels[:3]) :] = 0
        state = {**four.state_dict(), "aggregation.fuse.0.weight": weight[:, : sum(FOUR.channels[:3])]}
        three.load_state_dict(state)
        fewer = Features(given.maps[:3], FeatureSpec(FOUR.channels[:3], FOUR.strides[:3]))
        found, expected = three(three.aggregate(fewer)), four(four.aggregate(given))
    torch.testing.assert_close(found, expected)
    assert expected.std() > 0


def test_other_numbers_of_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="one map, three or four, got 2"):
        DeconvHead(FeatureSpec((8, 8), (8, 16)), 1)
