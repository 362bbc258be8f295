"""Adapters of the UNet: what trains, what they change, and their file."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from diffperc.backbones import StableDiffusionBackbone
from diffperc.backbones.lora import merge_lora
from diffperc.errors import ConfigError, WeightsError
from diffperc.types import Conditioning

RANK8: Any = {"rank": 8, "modules": ["to_q", "to_v"]}


def output(backbone: StableDiffusionBackbone) -> Tensor:
    torch.manual_seed(0)
    tokens, latents = torch.randn(1, 3, backbone.token_dim), torch.randn(1, 4, 16, 16)
    with torch.no_grad():
        return backbone.extract(latents, Conditioning(tokens, torch.tensor([1]))).maps[0]


def trained(options: Any = RANK8) -> StableDiffusionBackbone:
    """With adapters that do something."""
    backbone = StableDiffusionBackbone("tiny", lora=options).eval()
    torch.manual_seed(1)
    for name, parameter in backbone.unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return backbone


def test_adapters_alone_are_trained_and_change_nothing_at_first() -> None:
    backbone = StableDiffusionBackbone("tiny", lora=RANK8).eval()
    assert torch.equal(output(backbone), output(StableDiffusionBackbone("tiny").eval()))
    backbone.train_only(["features", "attention_scores"])
    training = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert training == {name for name, _ in backbone.named_parameters() if "lora_" in name}
    backbone.train_only(["features"])
    assert not any(p.requires_grad for n, p in backbone.named_parameters() if "attn2.to_q" in n)
    assert any(p.requires_grad for n, p in backbone.named_parameters() if "attn2.to_v" in n)


def test_merged_weights_give_the_same_features() -> None:
    backbone = trained()
    with_adapters, names = output(backbone), StableDiffusionBackbone("tiny").state_dict().keys()
    assert (with_adapters - output(StableDiffusionBackbone("tiny").eval())).abs().max() > 1e-3
    merge_lora(backbone)
    assert backbone.state_dict().keys() == names
    torch.testing.assert_close(output(backbone), with_adapters, rtol=1e-6, atol=1e-6 * float(with_adapters.abs().max()))


def test_a_file_of_adapters_is_read_by_us_and_by_diffusers(tmp_path: Path) -> None:
    backbone = trained()
    file = backbone.save_lora(tmp_path)
    again = StableDiffusionBackbone("tiny", lora={**RANK8, "pretrained": str(file)}).eval()
    assert torch.equal(output(again), output(backbone))
    plain = copy.deepcopy(StableDiffusionBackbone("tiny").unet)
    plain.load_lora_adapter(str(tmp_path), prefix=None, weight_name=file.name, local_files_only=True)
    own = dict(backbone.unet.named_parameters())
    read = {n.replace("default_0", "default"): p for n, p in plain.named_parameters() if "lora_" in n}
    assert read.keys() == {n for n in own if "lora_" in n}
    assert all(torch.equal(tensor, own[name]) for name, tensor in read.items())


def test_rank_8_of_stable_diffusion_takes_less_than_5_mb() -> None:
    with torch.device("meta"):
        backbone = StableDiffusionBackbone(config="sd15", lora=RANK8, empty=True)
    assert isinstance(backbone.unet, UNet2DConditionModel)
    adapters = sum(p.numel() for name, p in backbone.named_parameters() if "lora_" in name)
    # 5 blocks of 320, 5 of 640 and 6 of 1280 channels: 2 x 2C of self-, 2C + C + 768 of cross-attention
    assert adapters == 8 * sum(n * (7 * c + 768) for n, c in ((5, 320), (5, 640), (6, 1280)))
    assert adapters * 4 < 5e6


def test_options_and_files_that_do_not_fit_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"backbone\.lora\.ranks: nothing reads this key"):
        StableDiffusionBackbone("tiny", lora={**RANK8, "ranks": 4})
    with pytest.raises(ConfigError, match=r"backbone\.lora\.modules is missing; lora=rank8"):
        StableDiffusionBackbone("tiny", lora={"rank": 4})
    with pytest.raises(ConfigError, match=r"no layer of the UNet has a name that ends in 'q_proj'"):
        StableDiffusionBackbone("tiny", lora={"rank": 4, "modules": ["q_proj"]})
    with pytest.raises(ConfigError, match="peft does not take"):
        StableDiffusionBackbone("tiny", lora={"rank": 4, "modules": ["norm1"]})
    file = trained().save_lora(tmp_path)
    with pytest.raises(WeightsError, match=r"is \(8, \d+\) and should be \(4, \d+\); check lora.rank"):
        StableDiffusionBackbone("tiny", lora={**RANK8, "rank": 4, "pretrained": str(file)})
    with pytest.raises(WeightsError, match=r"the file has, and this UNet does not: .*to_v"):
        StableDiffusionBackbone("tiny", lora={"rank": 8, "modules": ["to_q"], "pretrained": str(file)})
    state = load_file(file)
    state.popitem()
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(WeightsError, match="the file does not have: "):
        StableDiffusionBackbone("tiny", lora={**RANK8, "pretrained": str(tmp_path / "less.safetensors")})
    with pytest.raises(ValueError, match="has no adapters"):
        StableDiffusionBackbone("tiny").save_lora(tmp_path)


def test_without_peft_a_sentence_names_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"backbone\.lora needs peft: pip install 'diffperc\[memory\]'"):
        StableDiffusionBackbone("tiny", lora=RANK8)
