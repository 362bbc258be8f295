"""Damaged files are refused with a sentence, and no file runs code."""

from __future__ import annotations

import contextlib
import pickle
import struct
from pathlib import Path

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.errors import WeightsError
from diffperc.weights.read import read_state
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


def test_an_archive_that_says_it_lies_on_two_disks_is_no_traceback(tmp_path: Path) -> None:
    """torch may read it all the same; Python's zipfile refuses it with an error of its own."""
    path = tmp_path / "weights.ckpt"
    torch.save({"state_dict": {"a": torch.ones(2)}}, path)
    whole = path.read_bytes()
    end = whole.rindex(b"PK\x05\x06")
    path.write_bytes(whole[:end] + struct.pack("<4sLQL", b"PK\x06\x07", 1, 0, 2) + whole[end:])
    with contextlib.suppress(WeightsError):
        assert torch.equal(read_state(path)["a"], torch.ones(2))
