"""What every head must do."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch

from diffperc.heads import Head
from diffperc.types import Features, FeatureSpec

FOUR = FeatureSpec((32, 40, 48, 64), (8, 16, 32, 64))
PYRAMID = FeatureSpec((10, 10, 10, 10), (4, 8, 16, 32))
ONE = FeatureSpec((50,), (8,))


def features(spec: FeatureSpec, height: int, width: int, batch: int = 3) -> Features:
    """Random maps of an image of that size, each of ceil(side / stride) cells."""
    generator = torch.Generator().manual_seed(height + width)
    maps = (
        torch.randn(batch, c, -(-height // s), -(-width // s), generator=generator)
        for c, s in zip(spec.channels, spec.strides, strict=True)
    )
    return Features(tuple(maps), spec)


class HeadContract:
    """Attributes: `head`, its `overrides`, the specs it reads, and whether its output has the finest map's size."""

    head: ClassVar[type[Head]]
    overrides: ClassVar[dict[str, Any]] = {}
    specs: ClassVar[tuple[FeatureSpec, ...]] = (FOUR, PYRAMID, ONE)
    out_stride: ClassVar[int | None] = None

    @pytest.fixture(params=range(3))
    def spec(self, request: pytest.FixtureRequest) -> FeatureSpec:
        if request.param >= len(self.specs):
            pytest.skip("this head reads fewer kinds of features")
        return self.specs[request.param]

    @pytest.fixture
    def built(self, spec: FeatureSpec) -> Head:
        torch.manual_seed(0)
        return self.head(spec, 5, **self.overrides)  # type: ignore[call-arg]

    def run(self, head: Head, given: Features) -> torch.Tensor:
        dense: torch.Tensor = head(head.aggregate(given))
        return dense

    def test_size_and_channels(self, built: Head, spec: FeatureSpec) -> None:
        stride = self.out_stride or spec.strides[0]
        assert self.run(built.eval(), features(spec, 128, 192)).shape == (3, 5, 128 // stride, 192 // stride)

    def test_every_parameter_gets_a_gradient(self, built: Head, spec: FeatureSpec) -> None:
        built.train()
        given = built.aggregate(features(spec, 128, 128))
        loss = built(given).square().mean() + sum(a.weight * a.dense.square().mean() for a in built.auxiliary(given))
        loss.backward()
        assert not [n for n, p in built.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]

    def test_a_sample_does_not_depend_on_its_batch_mates(self, built: Head, spec: FeatureSpec) -> None:
        given = features(spec, 64, 128)
        with torch.no_grad():
            together = self.run(built.eval(), given)
            alone = self.run(built, Features(tuple(m[1:2] for m in given.maps), spec))
        torch.testing.assert_close(alone, together[1:2], rtol=1e-4, atol=1e-5)

    def test_odd_sizes(self, built: Head, spec: FeatureSpec) -> None:
        with torch.no_grad():
            assert self.run(built.eval(), features(spec, 96 + 8, 160 + 8)).isfinite().all()

    def test_every_map_counts(self, built: Head, spec: FeatureSpec) -> None:
        given = features(spec, 128, 128)
        with torch.no_grad():
            whole = self.run(built.eval(), given)
            for i in range(len(spec.channels)):
                changed = tuple(m * (j != i) for j, m in enumerate(given.maps))
                assert (self.run(built, Features(changed, spec)) - whole).abs().max() > 0
