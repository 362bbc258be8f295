"""Every source of weights gives the same features, and a bad one is refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPVisionModel

from diffperc.backbones import StableDiffusionBackbone
from diffperc.encoders import ClipImageEncoder
from diffperc.errors import WeightsError
from diffperc.types import Conditioning
from tests.weights.conftest import ARCH, original


def features(backbone: StableDiffusionBackbone) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 3, 64, 128, generator=generator)
    tokens = torch.randn(1, 5, backbone.token_dim, generator=generator)
    with torch.no_grad():
        found = backbone.extract(backbone.encode(image), Conditioning(tokens, timestep=torch.ones(1)))
    return [*found.maps, backbone.to_latents(found).detach()]


@pytest.mark.parametrize("kind", ["safetensors", "ckpt", "half", "bin"])
def test_every_source_gives_the_same_weights_and_features(folder: Path, tmp_path: Path, kind: str) -> None:
    first = StableDiffusionBackbone(pretrained=str(folder))
    path = tmp_path / "weights.safetensors"
    if kind == "safetensors":
        save_file(original(folder), path)
    elif kind == "half":
        save_file({k: v.half() for k, v in original(folder).items()}, path)
    elif kind == "ckpt":
        path = path.with_suffix(".ckpt")
        torch.save({"state_dict": original(folder), "global_step": 3}, path)
    else:
        path = tmp_path / "old"
        for part in ("unet", "vae"):
            (path / part).mkdir(parents=True)
            (path / part / "config.json").write_text(json.dumps(ARCH[part]))
        torch.save(
            UNet2DConditionModel.from_pretrained(folder / "unet").state_dict(),
            path / "unet/diffusion_pytorch_model.bin",
        )
        # the names that the hub's SD 1.5 folder still has
        names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
        vae = AutoencoderKL.from_pretrained(folder / "vae").state_dict()
        for now, before in names.items():
            vae = {k.replace(now, before): v for k, v in vae.items()}
        torch.save(vae, path / "vae/diffusion_pytorch_model.bin")
    second = StableDiffusionBackbone(pretrained=str(path), config=None if path.is_dir() else str(folder))
    weights = second.state_dict()
    for name, weight in first.state_dict().items():
        assert torch.equal(weight.half().float() if kind == "half" else weight, weights[name]), name
    for a, b in zip(features(first), features(second), strict=True):
        # sums of the same weights are rounded by where in memory they lie
        assert (a - b).abs().max() < (0.05 if kind == "half" else 1e-4) * a.std()


def test_text_and_image_encoders_come_from_the_same_places(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(original(folder), file)
    expected = StableDiffusionBackbone(pretrained=str(folder)).text_encoder().encode(["a red box"])
    found = StableDiffusionBackbone(pretrained=str(file), config=str(folder)).text_encoder().encode(["a red box"])
    assert torch.equal(expected.tokens, found.tokens)
    assert not torch.equal(
        expected.tokens, StableDiffusionBackbone(config="tiny").text_encoder().encode(["a red box"]).tokens
    )
    encoder = ClipImageEncoder(ARCH["image_encoder"])
    StableDiffusionBackbone(pretrained=str(folder)).load_image_encoder(encoder)
    loaded = CLIPVisionModel.from_pretrained(folder / "image_encoder").state_dict()
    for key, value in encoder.model.state_dict().items():
        assert torch.equal(value, loaded[key])


def without(folder: Path, tmp_path: Path, *names: str) -> Path:
    """A copy of the folder with some files left out."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for name in names:
        (copy / name).unlink()
    return copy


def test_a_folder_without_tokenizer_files_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = without(folder, tmp_path, "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json")
    with pytest.raises(WeightsError, match="the tokenizer has"):
        StableDiffusionBackbone(pretrained=str(copy)).text_encoder()


def test_bad_sources_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no file or folder '/nowhere/x'"):
        StableDiffusionBackbone(pretrained="/nowhere/x")
    with pytest.raises(WeightsError, match=r"hub model 'owner/name'.*could not be downloaded"):
        StableDiffusionBackbone(pretrained="owner/name", revision="abc")
    with pytest.raises(WeightsError, match="did you mean 'tiny'"):
        StableDiffusionBackbone(config="tinny")
    with pytest.raises(WeightsError, match="config=tiny"):
        StableDiffusionBackbone()
    copy = without(folder, tmp_path, "unet/diffusion_pytorch_model.safetensors")
    with pytest.raises(WeightsError, match=r"no unet/diffusion_pytorch_model\.safetensors"):
        StableDiffusionBackbone(pretrained=str(copy))
