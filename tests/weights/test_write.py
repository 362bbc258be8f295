from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from diffperc.weights.read import read_state
from diffperc.weights.write import write_safetensors


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
)
def test_what_is_written_is_read_by_the_library(dtype: torch.dtype, tmp_path: Path) -> None:
    numbers = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5) % 7
    tensors = {
        "plain": numbers.to(dtype),
        "channels last": numbers.to(dtype).to(memory_format=torch.channels_last),
        "turned": numbers.to(dtype).transpose(0, 3),
        "a part": numbers.to(dtype)[:, 1:, ::2],
        "one": torch.ones((), dtype=dtype),
        "none": torch.zeros(0, 3, dtype=dtype),
        "trained": torch.nn.Parameter(numbers.to(dtype), requires_grad=dtype.is_floating_point),
    }
    file = tmp_path / "x.safetensors"
    with file.open("wb") as opened:
        write_safetensors(opened, tensors, {"by": "a tést"})
    found = read_state(file)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) and found[name].dtype == dtype for name, tensor in tensors.items())
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata() == {"format": "pt", "by": "a tést"}
