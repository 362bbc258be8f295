from __future__ import annotations

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.errors import ConfigError
from diffperc.strategies import IEDP
from diffperc.strategies.iedp import QueryBlock
from diffperc.types import Batch, Conditioning, TextSpec
from tests.contracts.strategy import TEXTS, StrategyContract


class TestIEDP(StrategyContract):
    strategy = IEDP
    training_branches = 2


class TestIEDPWithoutExplicitBranch(StrategyContract):
    strategy = IEDP
    overrides = {"explicit_weight": 0.0, "queries": 5}  # noqa: RUF012


class TestIEDPWithAttentionMaps(StrategyContract):
    strategy = IEDP
    training_branches = 2
    overrides = {"attention": [16, 32]}  # noqa: RUF012

    @pytest.fixture(scope="class", params=["names", "expression"])
    @classmethod
    def text(cls, request: pytest.FixtureRequest) -> TextSpec:
        return TEXTS[request.param]


def test_branches_that_share_attention_channels_have_the_same_number_of_tokens(
    backbone: StableDiffusionBackbone,
) -> None:
    with pytest.raises(ConfigError, match=r"strategy.queries is 7 and the explicit branch has 4 tokens.*queries=4"):
        IEDP(backbone, TEXTS["names"], queries=7, attention=[16])
    assert IEDP(backbone, TEXTS["names"]).queries.shape[0] == 4
    assert IEDP(backbone, TEXTS["scene"]).queries.shape[0] == 77


def test_the_explicit_branch_gets_the_names_that_occur(backbone: StableDiffusionBackbone) -> None:
    """Zero rows for what is not in the crop, before the adapter (methods.md 3)."""
    strategy = IEDP(backbone, TEXTS["names"]).train()
    strategy.initialise(backbone)
    images = torch.rand(2, 3, 64, 64)
    labels = torch.tensor([[True, False, False, True], [False, True, False, False]])
    with torch.no_grad():
        expected = strategy.adapter(strategy.table.vectors * labels[..., None])
        latents = backbone.encode(images)
        found = strategy(backbone, latents, Batch(images, labels=labels))[1].features.maps[0]
        direct = backbone.extract(latents, Conditioning(expected, timestep=torch.ones(2))).maps[0]
    torch.testing.assert_close(found, direct)
    with pytest.raises(ValueError, match=r"needs Batch\.labels"):
        strategy(backbone, latents, Batch(images))


def test_the_query_block_is_the_formula() -> None:
    """Qs = Q + SA(LN(Q)); Qc = Qs + CA(LN(Qs), LN(F)); Qc + FFN(LN(Qc)) (methods.md 3)."""
    torch.manual_seed(0)
    block, q, f = QueryBlock(16, heads=2), torch.randn(3, 16), torch.randn(2, 5, 16)
    with torch.no_grad():
        found = block(q, f)
        for b in range(2):
            n = block.norm_self(q)
            s = q + block.self_attention(n, n, n)[0]
            m = block.norm_image(f[b])
            c = s + block.cross_attention(block.norm_query(s), m, m)[0]
            torch.testing.assert_close(found[b], c + block.feed(block.norm_feed(c)), rtol=1e-4, atol=1e-5)


def test_prediction_does_not_read_the_label(backbone: StableDiffusionBackbone, batch: Batch) -> None:
    """The explicit branch exists in training only; the implicit one depends on the image alone."""
    strategy = IEDP(backbone, TEXTS["scene"]).eval()
    strategy.initialise(backbone)
    with torch.no_grad():
        latents = backbone.encode(batch.image)
        a = strategy(backbone, latents, batch)[0].features.maps[0]
        b = strategy(backbone, latents, Batch(batch.image, scene=torch.tensor([1, 1, 1])))[0].features.maps[0]
    assert torch.equal(a, b)


def test_the_explicit_branch_reads_the_label(backbone: StableDiffusionBackbone, batch: Batch) -> None:
    strategy = IEDP(backbone, TEXTS["scene"], explicit_weight=0.5).train()
    strategy.initialise(backbone)
    with torch.no_grad():
        latents = backbone.encode(batch.image)
        implicit, explicit = strategy(backbone, latents, batch)
        other = strategy(backbone, latents, Batch(batch.image, scene=torch.tensor([1, 1, 1])))[1]
    assert (implicit.weight, explicit.weight) == (1.0, 0.5)
    assert (explicit.features.maps[0] - other.features.maps[0]).abs().max() > 1e-4
