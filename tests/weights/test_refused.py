"""What is not Stable Diffusion 1.x or 2.x is recognised; what is, in whatever files, is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from diffperc.backbones import StableDiffusionBackbone
from diffperc.checkpoints import load
from diffperc.engine.build import build_dataset, build_preprocess, build_task
from diffperc.errors import CheckpointError, WeightsError
from diffperc.weights import ldm_names as ldm
from tests.helpers import composed
from tests.weights.conftest import ARCH, original

UNET = "unet/diffusion_pytorch_model"


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of a complete folder, to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def with_fields(copy: Path, part: str, **fields: Any) -> Path:
    file = copy / part / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    return copy


@pytest.mark.parametrize(
    ("part", "fields", "message"),
    [
        ("unet", {"addition_embed_type": "text_time"}, "a UNet of Stable Diffusion XL"),
        ("unet", {"time_cond_proj_dim": 256}, "a latent consistency model"),
        ("unet", {"num_class_embeds": 1000}, "an upscaler"),
        ("unet", {"in_channels": 9}, "an inpainting model"),
        ("unet", {"in_channels": 8}, "InstructPix2Pix"),
        ("unet", {"encoder_hid_dim_type": "image_proj"}, "Kandinsky"),
        ("unet", {"class_embed_type": "projection"}, "unCLIP"),
        ("unet", {"center_input_sample": True}, "center_input_sample=True; the backbone here does not compute it"),
        ("unet", {"time_embedding_type": "fourier"}, "time_embedding_type='fourier'"),
        ("unet", {"mid_block_type": "UNetMidBlock2D"}, "mid_block_type='UNetMidBlock2D'"),
        ("unet", {"down_block_types": ["AttnDownBlock2D"] * 4}, "down_block_types='AttnDownBlock2D'"),
        ("unet", {"out_channels": 8}, "out_channels=8 where the VAE's latents have 4"),
        ("unet", {"a_field_of_tomorrow": 3}, "a_field_of_tomorrow=3"),
        ("unet", {"_class_name": "ControlNetModel"}, "is of ControlNetModel"),
        ("unet", {"block_out_channels": "wide"}, "its config.json cannot be used"),
        ("vae", {"latent_channels": 16}, "in_channels=4 where the VAE's latents have 16"),
        ("vae", {"shift_factor": 0.1159}, "the VAE of another family, such as Flux"),
        ("vae", {"_class_name": "AutoencoderKLWan"}, "is of AutoencoderKLWan"),
    ],
)
def test_configs_that_are_not_computed_in_full_are_refused(
    copy: Path, part: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        StableDiffusionBackbone(pretrained=str(with_fields(copy, part, **fields)))


def test_a_text_encoder_of_another_model_is_refused(copy: Path) -> None:
    backbone = StableDiffusionBackbone(pretrained=str(with_fields(copy, "text_encoder", hidden_size=1280)))
    with pytest.raises(WeightsError, match="its text_encoder are 1280 wide and those of its unet 128"):
        backbone.text_encoder()


def test_fields_without_effect_are_taken(copy: Path) -> None:
    more = {"upcast_attention": True, "sample_size": 96, "encoder_hid_dim": None, "_diffusers_version": "9"}
    StableDiffusionBackbone(pretrained=str(with_fields(copy, "unet", **more)))


def halved(copy: Path, variant: str, dtype: torch.dtype) -> None:
    for part in ("unet", "vae"):
        file = copy / part / "diffusion_pytorch_model.safetensors"
        tensors = {name: tensor.to(dtype) for name, tensor in load_file(file).items()}
        file.unlink()
        save_file(tensors, file.with_name(f"diffusion_pytorch_model{variant}.safetensors"))


def sharded(copy: Path, variant: str, dtype: torch.dtype) -> None:
    for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        model = kind.from_pretrained(copy / part).to(dtype)
        (copy / part / "diffusion_pytorch_model.safetensors").unlink()
        model.save_pretrained(copy / part, max_shard_size="2MB", variant=variant.lstrip(".") or None)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("variant", ["", ".fp16"])
@pytest.mark.parametrize("write", [halved, sharded])
def test_variants_shards_and_any_precision_give_float32(
    folder: Path, copy: Path, write: Callable[[Path, str, torch.dtype], None], variant: str, dtype: torch.dtype
) -> None:
    write(copy, variant, dtype)
    expected = StableDiffusionBackbone(pretrained=str(folder)).state_dict()
    found = StableDiffusionBackbone(pretrained=str(copy)).state_dict()
    assert expected.keys() == found.keys()
    for name, tensor in found.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name].to(dtype).float()), name


def test_a_missing_shard_is_named_and_full_precision_comes_first(folder: Path, copy: Path) -> None:
    sharded(copy, "", torch.float32)
    shards = sorted((copy / "unet").glob("*-of-*.safetensors"))
    assert len(shards) > 1
    shards[0].unlink()
    with pytest.raises(
        WeightsError, match=f"no unet/{shards[0].name}, which .*index.json names; complete the download"
    ):
        StableDiffusionBackbone(pretrained=str(copy))
    full = load_file(folder / f"{UNET}.safetensors")
    save_file({name: torch.zeros_like(t) for name, t in full.items()}, copy / f"{UNET}.fp16.safetensors")
    save_file(full, copy / f"{UNET}.safetensors")
    weight = StableDiffusionBackbone(pretrained=str(copy)).unet.conv_in.weight
    assert torch.equal(weight, full["conv_in.weight"])


def test_half_precision_text_encoders_are_read(folder: Path, copy: Path) -> None:
    file = copy / "text_encoder/model.safetensors"
    tensors = {name: tensor.half() for name, tensor in load_file(file).items()}
    file.unlink()
    save_file(tensors, file.with_name("model.fp16.safetensors"), {"format": "pt"})
    found, expected = (
        StableDiffusionBackbone(pretrained=str(place)).text_encoder().encode(["a red box"]).tokens
        for place in (copy, folder)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


def test_weights_that_are_no_numbers_are_refused(copy: Path) -> None:
    tensors = load_file(copy / f"{UNET}.safetensors")
    tensors["conv_in.bias"][2] = torch.nan
    save_file(tensors, copy / f"{UNET}.safetensors")
    with pytest.raises(WeightsError, match=r"unet: 'conv_in\.bias' holds what is not a number"):
        StableDiffusionBackbone(pretrained=str(copy))


def unet_of(folder: Path) -> dict[str, torch.Tensor]:
    return UNet2DConditionModel.from_pretrained(folder / "unet").state_dict()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: {"lora_unet_down_blocks_0.lora_up.weight": torch.zeros(2, 2)}, "it is a LoRA"),
        (lambda f: {"unet.conv_in.lora.up.weight": torch.zeros(2, 2)}, "it is a LoRA"),
        (lambda f: {"conditioner.embedders.0.x": torch.zeros(1)}, "it is Stable Diffusion XL"),
        (lambda f: {"control_model.input_hint_block.0.weight": torch.zeros(1)}, "it is a ControlNet"),
        (lambda f: {"model.diffusion_model.joint_blocks.0.x": torch.zeros(1)}, "it is Stable Diffusion 3"),
        (lambda f: {"double_blocks.0.img_attn.x": torch.zeros(1)}, "it is Flux"),
        (lambda f: {"emb_params": torch.zeros(1, 768)}, "it is an embedding"),
        (lambda f: {"model.backbone.unet.conv_in.weight": torch.zeros(1)}, "it is a checkpoint of diffperc"),
        (unet_of, r"it is a UNet alone; give it as backbone\.unet"),
        (lambda f: ldm.unet_to_ldm(unet_of(f), ARCH["unet"]), r"it is a UNet alone; give it as backbone\.unet"),
        (lambda f: {"encoder.down.0.x": torch.zeros(1)}, "it is a VAE alone"),
        (lambda f: {"x": torch.zeros(1)}, "it has no 'model.diffusion_model"),
    ],
)
def test_single_files_of_other_things_are_recognised(folder: Path, tmp_path: Path, make: Any, message: str) -> None:
    file = tmp_path / "x.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in make(folder).items()}, file)
    with pytest.raises(WeightsError, match=message):
        StableDiffusionBackbone(pretrained=str(file))


def test_an_inpainting_file_is_recognised(folder: Path, tmp_path: Path) -> None:
    state = original(folder)
    name = f"{ldm.UNET}input_blocks.0.0.weight"
    state[name] = torch.cat([state[name]] * 2 + [state[name][:, :1]], 1)
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="its UNet reads 9 channels instead of 4"):
        StableDiffusionBackbone(pretrained=str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of git-lfs"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"GGUF\x03\x00", "is a quantised model"),
    ],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_failed_downloads_are_recognised(tmp_path: Path, content: bytes, message: str, suffix: str) -> None:
    file = tmp_path / f"x{suffix}"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        StableDiffusionBackbone(pretrained=str(file))


def test_the_right_folder_is_suggested(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"it is one part of a model; give the folder above, {copy}"):
        StableDiffusionBackbone(pretrained=str(copy / "unet"))
    (copy / "model_index.json").write_text("{}")
    with pytest.raises(WeightsError, match=f"give the folder in it, {copy}"):
        StableDiffusionBackbone(pretrained=str(tmp_path))
    shutil.move(copy / "unet", copy / "transformer")
    with pytest.raises(WeightsError, match="it holds a transformer instead of a UNet"):
        StableDiffusionBackbone(pretrained=str(copy))
    (tmp_path / "list.json").write_text("[]")


def test_a_checkpoint_in_half_precision_predicts_in_full_and_one_of_nan_does_not(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cfg = composed("strategy=unconditional", "dataset.size=[64,64]", "dataset.val_size=2")
    val = build_dataset(cfg, "val")
    task = build_task(cfg, val.info)
    image = val[0].image
    expected = task.predictor(task.model, task.info, task.protocol, build_preprocess(cfg))(image).depth
    state = {name: t.half() if t.is_floating_point() else t for name, t in task.state_dict().items()}
    torch.save({"state_dict": state, "diffperc": task.provenance}, tmp_path / "half.ckpt")
    found = load(tmp_path / "half.ckpt", "cpu")(image).depth
    assert found.dtype == expected.dtype
    torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(expected), rtol=0.01, atol=0)
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[name] = torch.full_like(state[name], torch.nan)
    torch.save({"state_dict": state, "diffperc": task.provenance}, tmp_path / "nan.ckpt")
    with pytest.raises(CheckpointError, match=rf"nan\.ckpt: '{name}' holds what is not a number.*Take an earlier"):
        load(tmp_path / "nan.ckpt", "cpu")
