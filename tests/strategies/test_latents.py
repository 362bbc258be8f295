from __future__ import annotations

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.models.perception import PerceptionModel
from diffperc.strategies import Latents
from diffperc.types import Batch, TextSpec
from tests.contracts.strategy import EXPRESSIONS, TEXTS, StrategyContract


class TestLatents(StrategyContract):
    strategy = Latents
    trained = 1

    def test_the_expression_counts(self, model: PerceptionModel, batch: Batch, text: TextSpec) -> None:
        """Overrides the contract's test: the expression has no effect, because no UNet reads its tokens."""
        if text.kind != "expression":
            pytest.skip("this text has no expression")
        with torch.no_grad():
            first = model.eval()(batch).dense
            other = model(Batch(batch.image, labels=batch.labels, expression=EXPRESSIONS[::-1])).dense
        assert torch.equal(first, other)

    def test_nothing_of_the_backbone_is_trained(self, model: PerceptionModel) -> None:
        assert {n.partition(".")[0] for n, p in model.named_parameters() if p.requires_grad} == {"head"}


def test_the_features_are_the_latents(backbone: StableDiffusionBackbone) -> None:
    latents = torch.randn(2, 4, 8, 16)
    branch = Latents(backbone, TEXTS["scene"])(backbone, latents, Batch(torch.zeros(2, 3, 64, 128)))[0]
    assert branch.features.maps == (latents,)
    assert branch.features.spec.strides == (8,)
