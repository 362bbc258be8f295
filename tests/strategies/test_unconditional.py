from __future__ import annotations

import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.strategies import Unconditional
from tests.contracts.strategy import TEXTS, StrategyContract


class TestUnconditional(StrategyContract):
    strategy = Unconditional


def test_tokens_are_those_of_the_empty_sentence(backbone: StableDiffusionBackbone) -> None:
    torch.manual_seed(7)
    expected = backbone.text_encoder().encode([""]).tokens[0]
    torch.manual_seed(7)
    strategy = Unconditional(backbone, TEXTS["scene"])
    strategy.initialise(backbone)
    assert torch.equal(strategy.tokens, expected)
