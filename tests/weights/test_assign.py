from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from diffperc.backbones import StableDiffusionBackbone
from diffperc.errors import WeightsError
from diffperc.weights import ldm_names as ldm
from tests.weights.conftest import original


def test_a_file_with_a_missing_or_misshapen_tensor_is_refused(folder: Path, tmp_path: Path) -> None:
    state = original(folder)
    key = ldm.UNET + "out.2.bias"
    save_file({k: v for k, v in state.items() if k != key}, tmp_path / "missing.safetensors")
    with pytest.raises(WeightsError, match=r"1 tensors missing, the first 'conv_out.bias'"):
        StableDiffusionBackbone(pretrained=str(tmp_path / "missing.safetensors"), config=str(folder))
    save_file(state | {key: torch.zeros(5)}, tmp_path / "shape.safetensors")
    with pytest.raises(WeightsError, match=r"'conv_out.bias' is \(5,\) where \(4,\) is needed"):
        StableDiffusionBackbone(pretrained=str(tmp_path / "shape.safetensors"), config=str(folder))
