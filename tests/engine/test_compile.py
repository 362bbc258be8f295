"""The network compiled by torch.compile: the same function, in one graph."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from diffperc.engine.build import build_dataset, build_model
from diffperc.engine.device import compile_network
from diffperc.errors import ConfigError
from diffperc.models import PerceptionModel
from diffperc.types import Batch
from tests.helpers import composed


def network(strategy: str) -> PerceptionModel:
    torch.manual_seed(0)
    cfg = composed("task=depth", f"strategy={strategy}")
    return build_model(cfg, build_dataset(cfg, "val").info).eval()


def batch() -> Batch:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return Batch(image, scene=torch.tensor([0]), caption=("a room",))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["unconditional", "vpd", "meta_prompts", "ecodepth", "iedp"])
def test_a_network_is_one_graph(strategy: str) -> None:
    model: Any = network(strategy)
    with torch.no_grad():
        expected = model(batch()).dense
        model.compile(fullgraph=True, backend="eager")
        torch.testing.assert_close(model(batch()).dense, expected)


@pytest.mark.slow
def test_compiled_it_computes_the_same() -> None:
    """The head alone: the compiler takes minutes for the whole, whose graph is that of the test above."""
    model = network("unconditional")
    names = list(model.state_dict())
    with torch.no_grad():
        expected = model(batch()).dense
        compile_network(model.head, torch.device("cpu"))
        torch.testing.assert_close(model(batch()).dense, expected, rtol=1e-4, atol=1e-4)
    assert list(model.state_dict()) == names


def test_without_a_compiler_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"compile=true: needs a C\+\+ compiler"):
        compile_network(torch.nn.Identity(), torch.device("cpu"))
