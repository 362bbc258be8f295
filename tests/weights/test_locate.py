"""Loading weights: every way gives the same features, and bad files are refused with a sentence."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

from diffperc.backbones import StableDiffusionBackbone
from diffperc.encoders.clip_image import ClipImageEncoder
from diffperc.errors import WeightsError
from diffperc.types import Conditioning
from diffperc.weights import ldm_names as ldm
from diffperc.weights.architecture import architecture, config_folder

ARCH = architecture("tiny", None)
# as in Stable Diffusion's VAE
ARCH["vae"]["mid_block_add_attention"] = True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete diffusers folder, written by the libraries themselves."""
    path = tmp_path_factory.mktemp("weights") / "folder"
    torch.manual_seed(5)
    UNet2DConditionModel.from_config(ARCH["unet"]).save_pretrained(path / "unet")
    AutoencoderKL.from_config(ARCH["vae"]).save_pretrained(path / "vae")
    CLIPTextModel(CLIPTextConfig.from_dict(ARCH["text_encoder"])).save_pretrained(path / "text_encoder")
    CLIPVisionModel(CLIPVisionConfig.from_dict(ARCH["image_encoder"])).save_pretrained(path / "image_encoder")
    (path / "tokenizer").mkdir()
    for file in (config_folder("tiny") / "tokenizer").iterdir():
        (path / "tokenizer" / file.name).write_bytes(file.read_bytes())
    return path


def original(folder: Path) -> dict[str, torch.Tensor]:
    """The same weights under Stable Diffusion's original names, with what such files hold besides."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet").state_dict()
    vae = AutoencoderKL.from_pretrained(folder / "vae").state_dict()
    state = {ldm.UNET + k: v for k, v in ldm.unet_to_ldm(unet, ARCH["unet"]).items()}
    state |= {ldm.VAE + k: v.contiguous() for k, v in ldm.vae_to_ldm(vae, ARCH["vae"]).items()}
    text = CLIPTextModel.from_pretrained(folder / "text_encoder").state_dict()
    state |= {f"{ldm.TEXT}text_model.{k.removeprefix('text_model.')}": v for k, v in text.items()}
    state[ldm.TEXT + "text_model.embeddings.position_ids"] = torch.arange(77)[None]
    state["first_stage_model.decoder.conv_in.weight"] = torch.zeros(1)
    state["model_ema.decay"] = torch.zeros(())
    return state


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


def test_original_names_are_those_of_stable_diffusion() -> None:
    """Known pairs of the map at SD 1.5's layout (methods.md 0.9)."""
    sd15 = architecture("sd15", None)
    unet = ldm.unet_modules(sd15["unet"])
    assert unet["input_blocks.3.0.op"] == "down_blocks.0.downsamplers.0.conv"
    assert unet["input_blocks.4.0.skip_connection"] == "down_blocks.1.resnets.0.conv_shortcut"
    assert unet["input_blocks.8.1"] == "down_blocks.2.attentions.1"
    assert unet["input_blocks.11.0.in_layers.0"] == "down_blocks.3.resnets.1.norm1"
    assert unet["output_blocks.2.1.conv"] == "up_blocks.0.upsamplers.0.conv"
    assert unet["output_blocks.5.2.conv"] == "up_blocks.1.upsamplers.0.conv"
    assert unet["output_blocks.11.1"] == "up_blocks.3.attentions.2"
    vae = ldm.vae_modules(sd15["vae"])
    assert vae["encoder.down.2.downsample.conv"] == "encoder.down_blocks.2.downsamplers.0.conv"
    assert vae["encoder.mid.attn_1.proj_out"] == "encoder.mid_block.attentions.0.to_out.0"


@pytest.mark.parametrize("name", ["sd15", "sd21", "tiny"])
def test_the_map_covers_every_tensor_both_ways(name: str) -> None:
    backbone = StableDiffusionBackbone(config=name, empty=True)
    arch = backbone.architecture
    unet = backbone.unet.state_dict()
    there = ldm.unet_to_ldm(unet, arch["unet"])
    assert len(there) == len(unet)
    assert ldm.unet_from_ldm(there, arch["unet"]).keys() == unet.keys()
    vae = backbone.vae.state_dict()
    back = ldm.vae_from_ldm(ldm.vae_to_ldm(vae, arch["vae"]), arch["vae"])
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in vae.items()}


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


def test_a_file_with_a_missing_or_misshapen_tensor_is_refused(folder: Path, tmp_path: Path) -> None:
    state = original(folder)
    key = ldm.UNET + "out.2.bias"
    save_file({k: v for k, v in state.items() if k != key}, tmp_path / "missing.safetensors")
    with pytest.raises(WeightsError, match=r"1 tensors missing, the first 'conv_out.bias'"):
        StableDiffusionBackbone(pretrained=str(tmp_path / "missing.safetensors"), config=str(folder))
    save_file(state | {key: torch.zeros(5)}, tmp_path / "shape.safetensors")
    with pytest.raises(WeightsError, match=r"'conv_out.bias' is \(5,\) where \(4,\) is needed"):
        StableDiffusionBackbone(pretrained=str(tmp_path / "shape.safetensors"), config=str(folder))


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
