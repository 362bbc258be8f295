"""Heads against the shapes and formulas of methods.md 1.1, 1.2, 2.2."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from diffperc.heads import DeconvHead, FPNHead, RefineHead, UPerHead
from diffperc.types import Features, FeatureSpec
from tests.contracts.head import FOUR, ONE, PYRAMID, HeadContract, features


class TestDeconv(HeadContract):
    head = DeconvHead
    overrides = {"neck_channels": 32, "filters": 8, "channels": 8, "init_std": None}  # noqa: RUF012
    out_stride = 1

    def test_odd_sizes(self, built: DeconvHead, spec: FeatureSpec) -> None:  # type: ignore[override]
        if len(spec.channels) == 4:
            pytest.skip("aggregation halves even maps only: they are those of a fitted image")
        super().test_odd_sizes(built, spec)


class TestFPN(HeadContract):
    head = FPNHead
    overrides = {"channels": 16}  # noqa: RUF012


class TestUPer(HeadContract):
    head = UPerHead
    overrides = {"channels": 16}  # noqa: RUF012
    specs = (FOUR, PYRAMID)


class TestRefine(HeadContract):
    head = RefineHead
    overrides = {"channels": 16}  # noqa: RUF012


def shapes(module: torch.nn.Module, kernel: int) -> list[tuple[int, int]]:
    """(outputs, inputs) of all convolutions with that kernel."""
    return [tuple(p.shape[:2]) for p in module.parameters() if p.ndim == 4 and p.shape[-1] == kernel]  # type: ignore[misc]


def test_fpn_has_the_published_layers() -> None:
    head = FPNHead(FeatureSpec((320, 790, 1430, 1280), (8, 16, 32, 64)), 150)
    assert shapes(head, 1) == [(256, 320), (256, 790), (256, 1430), (256, 1280), (150, 256)]
    # four outputs of the neck, then 1 + 1 + 2 + 3 of the levels
    assert shapes(head, 3) == [(256, 256)] * 11


def test_fpn_is_the_sum_of_levels() -> None:
    """By hand on two levels: lateral, nearest sum, output, convolution, doubling, sum, classification."""
    torch.manual_seed(0)
    spec = FeatureSpec((4, 6), (8, 16))
    head, given = FPNHead(spec, 3, channels=5).eval(), features(spec, 64, 64, batch=2)
    with torch.no_grad():
        low = head.laterals[1](given.maps[1])
        high = head.laterals[0](given.maps[0]) + low.repeat_interleave(2, 2).repeat_interleave(2, 3)
        first = head.levels[0][0](head.outputs[0](high))  # type: ignore[index]
        second = head.levels[1][0](head.outputs[1](low))  # type: ignore[index]
        second = F.interpolate(second, scale_factor=2, mode="bilinear")
        torch.testing.assert_close(head(given), head.classify(first + second))


def test_upernet_has_the_published_layers() -> None:
    head = UPerHead(FeatureSpec((150,) * 4, (4, 8, 16, 32)), 150)
    assert shapes(head, 1) == [(512, 150)] * 4 + [(512, 150)] * 3 + [(150, 512), (150, 512)]
    # bottleneck over the map and four pools; three smoothings; fusion of four levels; the auxiliary head's
    assert shapes(head, 3) == [(512, 2198), *[(512, 512)] * 3, (512, 2048), (512, 150)]


def test_upernet_has_an_auxiliary_output_only_if_it_has_a_weight() -> None:
    head, plain = UPerHead(FOUR, 5, channels=8), UPerHead(FOUR, 5, channels=8, auxiliary_weight=0.0)
    (auxiliary,) = head.auxiliary(features(FOUR, 128, 128))
    assert auxiliary.weight == 0.4
    assert auxiliary.dense.shape == (3, 5, 4, 4)  # the third map's size
    assert plain.auxiliary(features(FOUR, 128, 128)) == ()


def test_refine_has_the_published_layers() -> None:
    """40 tokens: 640 + 40 and 1280 + 40 channels (methods.md 1.2)."""
    head = RefineHead(FeatureSpec((320, 680, 1320, 1280), (8, 16, 32, 64)), 2)
    expected = [(640, 2600), (640, 640), (640, 1320), (640, 640), (640, 960), (640, 640)]
    assert shapes(head, 3) == expected
    assert shapes(head, 1) == [(2, 640)]
    assert head.align_corners


def test_refine_resizes_with_aligned_corners() -> None:
    spec = FeatureSpec((3, 4), (8, 16))
    head, given = RefineHead(spec, 2, channels=6).eval(), features(spec, 64, 64)
    with torch.no_grad():
        up = F.interpolate(given.maps[1], size=(8, 8), mode="bilinear", align_corners=True)
        expected = head.classify(head.levels[0](torch.cat([up, given.maps[0]], 1)))
        torch.testing.assert_close(head(given), expected)


@pytest.mark.parametrize("spec", [ONE])
def test_upernet_refuses_a_single_map(spec: FeatureSpec) -> None:
    with pytest.raises(ValueError, match=r"two maps or more, got 1; with meta prompts set strategy.readout=pyramid"):
        UPerHead(spec, 5)


def test_a_wrong_number_of_maps_is_refused() -> None:
    with pytest.raises(ValueError, match="its spec names 4"):
        Features((torch.zeros(1, 3, 2, 2),), FOUR)
