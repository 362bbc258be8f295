from __future__ import annotations

from pathlib import Path

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.errors import ConfigError, WeightsError
from diffperc.nn.blocks import ResidualTokenMLP
from diffperc.strategies import VPD
from diffperc.strategies.scene_table import SceneTable
from diffperc.types import DatasetInfo
from tests.strategies.contract import StrategyContract


class TestVPD(StrategyContract):
    strategy = VPD


def test_the_table_gives_a_labels_row_and_the_mean_where_it_is_unknown(info: DatasetInfo) -> None:
    table = SceneTable(info, 4)
    table.vectors.copy_(torch.arange(12.0).reshape(3, 4))
    rows = table(torch.tensor([2, -1, 0]), 3)
    assert rows.tolist() == [[[8, 9, 10, 11]], [[4, 5, 6, 7]], [[0, 1, 2, 3]]]
    assert table(None, 2).tolist() == [[[4, 5, 6, 7]]] * 2


def test_the_adapter_starts_as_nearly_nothing() -> None:
    """c + gamma * mlp(c), gamma 1e-4 (methods.md 0.6)."""
    adapter = ResidualTokenMLP(8)
    tokens = torch.randn(2, 3, 8)
    with torch.no_grad():
        torch.testing.assert_close(adapter(tokens) - tokens, 1e-4 * adapter.mlp(tokens), rtol=1e-2, atol=1e-6)
        adapter.gamma.zero_()
        assert torch.equal(adapter(tokens), tokens)


def test_class_embeddings_come_from_a_file(
    backbone: StableDiffusionBackbone, info: DatasetInfo, tmp_path: Path
) -> None:
    table = torch.randn(3, backbone.token_dim)
    torch.save(table, tmp_path / "table.pth")
    strategy = VPD(backbone, info, class_embeddings=str(tmp_path / "table.pth"))
    strategy.initialise(backbone)
    assert torch.equal(strategy.table.vectors, table)
    torch.save(table[:2], tmp_path / "short.pth")
    short = VPD(backbone, info, class_embeddings=str(tmp_path / "short.pth"))
    with pytest.raises(WeightsError, match=r"must hold a tensor \(3, 128\), found \(2, 128\)"):
        short.initialise(backbone)


def test_a_data_set_without_scenes_is_refused_with_what_to_do(backbone: StableDiffusionBackbone) -> None:
    with pytest.raises(ConfigError, match=r"'plain' has none. Use strategy=meta_prompts"):
        VPD(backbone, DatasetInfo("plain", ("depth",)))
