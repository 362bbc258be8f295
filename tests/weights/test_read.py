"""Damaged files are refused with a sentence, and no file runs code."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.errors import WeightsError
from tests.weights.conftest import original


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("/tmp/diffperc-was-here"),))  # type: ignore[return-value]


@pytest.mark.parametrize("content", ["code", "text", "truncated"])
def test_damaged_files_and_code_are_refused(folder: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.ckpt"
    if content == "code":
        path.write_bytes(pickle.dumps({"state_dict": Evil()}))
    elif content == "text":
        path.write_text("not weights")
    else:
        torch.save(original(folder), path)
        path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(
        WeightsError, match=r"weights.ckpt: (is no file that torch has written|it refers to|cannot be read)"
    ):
        StableDiffusionBackbone(pretrained=str(path), config=str(folder))
    assert not Path("/tmp/diffperc-was-here").exists()
