"""UNets other than Stable Diffusion's own: SD-Turbo, BK-SDM, CleanDIFT, Marigold, and UNets of their own file or folder.

The files are made here by diffusers itself, with random weights.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from safetensors.torch import load_file, save_file
from torch import Tensor

from diffperc.backbones import StableDiffusionBackbone
from diffperc.errors import ConfigError, WeightsError
from diffperc.heads import DeconvHead, FPNHead
from diffperc.types import Conditioning, Features
from diffperc.weights import ldm_names as ldm
from diffperc.weights.architecture import architecture
from tests.weights.conftest import ARCH, original

# what BK-SDM's configs have instead of Stable Diffusion's
SMALL: dict[str, Any] = {"layers_per_block": 1, "mid_block_type": None}
TINY: dict[str, Any] = {
    **SMALL,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3,
    "up_block_types": ["CrossAttnUpBlock2D"] * 3,
}
BK_SDM: dict[str, dict[str, Any]] = {"base": {"layers_per_block": 1}, "small": SMALL, "tiny": TINY}
# what SD-Turbo's config has beside that of Stable Diffusion 2.1
TURBO: dict[str, Any] = {
    "addition_embed_type": None,
    "addition_embed_type_num_heads": 64,
    "addition_time_embed_dim": None,
    "attention_type": "default",
    "class_embed_type": None,
    "class_embeddings_concat": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_norm": None,
    "dropout": 0.0,
    "dual_cross_attention": False,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "mid_block_only_cross_attention": None,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "num_attention_heads": None,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "projection_class_embeddings_input_dim": None,
    "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False,
    "resnet_time_scale_shift": "default",
    "reverse_transformer_layers_per_block": None,
    "sample_size": 64,
    "time_cond_proj_dim": None,
    "time_embedding_act_fn": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "transformer_layers_per_block": 1,
    "upcast_attention": None,
}


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of a complete folder, whose UNet is to be replaced."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def save_unet(place: Path, **fields: Any) -> UNet2DConditionModel:
    """Write a UNet of the small model's widths with other fields, as diffusers does."""
    config = {**ARCH["unet"], **fields}
    config["block_out_channels"] = config["block_out_channels"][: len(config["down_block_types"])]
    torch.manual_seed(11)
    unet = UNet2DConditionModel.from_config(config).eval()
    shutil.rmtree(place, ignore_errors=True)
    unet.save_pretrained(place)
    return unet


def as_pipeline(copy: Path, name: str) -> Path:
    (copy / "model_index.json").write_text(
        json.dumps({"_class_name": name, "unet": ["diffusers", "UNet2DConditionModel"]})
    )
    return copy


def conditioning(backbone: StableDiffusionBackbone) -> Conditioning:
    tokens = torch.randn(2, 5, backbone.token_dim, generator=torch.Generator().manual_seed(1))
    return Conditioning(tokens, timestep=torch.tensor([1, 500]))


def latents() -> Tensor:
    return torch.randn(2, 4, 16, 24, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def by_diffusers(unet: UNet2DConditionModel, sample: Tensor, given: Conditioning) -> tuple[list[Tensor], Tensor]:
    """What the taps of methods.md 0.4 give in diffusers' own forward pass, finest first, and its result."""
    seen: dict[int, Tensor] = {}
    unet.set_attn_processor(AttnProcessor2_0())
    for i, block in enumerate(unet.up_blocks):
        tap = len(block.resnets) - 1 if i == len(unet.up_blocks) - 1 else 1
        layer = (getattr(block, "attentions", None) or block.resnets)[tap]
        layer.register_forward_hook(
            lambda m, a, out, i=i: seen.__setitem__(i, out[0] if isinstance(out, tuple) else out)
        )
    result = unet(sample, given.timestep, given.tokens).sample
    return [seen[i] for i in sorted(seen, reverse=True)], result


def assert_features_are(backbone: StableDiffusionBackbone, unet: UNet2DConditionModel, sample: Tensor) -> Features:
    """The backbone's features of the first four channels are those of the UNet."""
    given = conditioning(backbone)
    maps, result = by_diffusers(unet, sample, given)
    with torch.no_grad():
        features = backbone.extract(sample[:, :4], given)
        torch.testing.assert_close(backbone.to_latents(features), result, rtol=1e-3, atol=1e-4)
    assert len(features.maps) == len(maps) == len(backbone.spec.channels)
    for found, expected in zip(features.maps, maps, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    return features


@pytest.mark.parametrize("size", BK_SDM)
def test_features_of_bk_sdm_are_those_of_its_own_blocks(copy: Path, size: str) -> None:
    unet = save_unet(copy / "unet", **BK_SDM[size])
    backbone = StableDiffusionBackbone(pretrained=str(copy))
    assert backbone.spec.strides == ((8, 16, 32) if size == "tiny" else (8, 16, 32, 64))
    features = assert_features_are(backbone, unet, latents())
    # VPD's attention maps of segmentation
    with torch.no_grad():
        asked = backbone.extract(latents(), conditioning(backbone), attention=[16, 32])
        torch.testing.assert_close(asked.attention[32].sum(1), torch.ones(2, 4, 6))
        for head in (DeconvHead(backbone.spec, 1, 32, 8, 16), FPNHead(backbone.spec, 3, 16)):
            head.eval()
            assert head(head.aggregate(features)).isfinite().all()


@pytest.mark.parametrize("size", ["small", "tiny"])
def test_every_weight_of_bk_sdm_that_is_trained_gets_a_gradient(copy: Path, size: str) -> None:
    save_unet(copy / "unet", **BK_SDM[size])
    backbone = StableDiffusionBackbone(pretrained=str(copy), gradient_checkpointing=True).train()
    backbone.train_only(["features", "time_embedding", "attention_scores"])
    features = backbone.extract(latents(), conditioning(backbone))
    torch.stack([m.square().mean() for m in features.maps]).sum().backward()
    trained = [p for p in backbone.unet.parameters() if p.requires_grad]
    assert len(trained) > 100
    assert all(p.grad is not None for p in trained)


def test_published_sizes_are_those_of_the_models(copy: Path) -> None:
    """At real widths, on the meta device: BK-SDM's 0.58, 0.49 and 0.33 billion, SD-Turbo's as Stable Diffusion 2.1's."""
    arch = architecture("sd15", None)
    counts = {}
    for size, fields in BK_SDM.items():
        unet = {**arch["unet"], **fields}
        unet["block_out_channels"] = unet["block_out_channels"][: len(unet["down_block_types"])]
        backbone = StableDiffusionBackbone(config={**arch, "unet": unet}, empty=True)
        counts[size] = sum(p.numel() for p in backbone.unet.parameters())
        given = Conditioning(torch.zeros(1, 3, 768, device="meta"), torch.ones(1, device="meta"))
        features = backbone.extract(torch.zeros(1, 4, 64, 64, device="meta"), given)
        assert [m.shape[1] for m in features.maps] == list(backbone.spec.channels)
    assert counts == {"base": 579_384_964, "small": 482_346_884, "tiny": 323_384_964}
    two = architecture("sd21", None)
    turbo = StableDiffusionBackbone(config={**two, "unet": {**two["unet"], **TURBO}}, empty=True)
    assert sum(p.numel() for p in turbo.unet.parameters()) == 865_910_724
    assert (turbo.token_dim, turbo.spec.strides) == (1024, (8, 16, 32, 64))


def test_sd_turbo_is_read(copy: Path) -> None:
    """The fields of its config, at the widths of the small model, with heads counted per block as in 2.x."""
    unet = save_unet(copy / "unet", **TURBO, use_linear_projection=True, attention_head_dim=[1, 2, 3, 4])
    assert_features_are(StableDiffusionBackbone(pretrained=str(copy)), unet, latents())


@pytest.mark.parametrize("pipeline", ["MarigoldPipeline", "MarigoldDepthPipeline", "MarigoldNormalsPipeline"])
def test_marigold_with_latents_of_zero_is_its_half_for_the_image(
    copy: Path, pipeline: str, caplog: pytest.LogCaptureFixture
) -> None:
    unet = save_unet(copy / "unet", in_channels=8)
    with caplog.at_level("INFO"):
        backbone = StableDiffusionBackbone(pretrained=str(as_pipeline(copy, pipeline)))
    assert [r.message for r in caplog.records if "Marigold" in r.message] == [
        f"{copy}: a Marigold model, whose UNet reads the latents of the image and of the prediction; its first layer keeps "
        "the half of the image."
    ]
    assert_features_are(backbone, unet, torch.cat([latents(), torch.zeros_like(latents())], 1))
    # a checkpoint builds it again from this
    assert backbone.architecture["unet"]["in_channels"] == 4
    again = StableDiffusionBackbone(config=backbone.architecture, empty=True)
    again.load_state_dict(backbone.state_dict(), assign=True)


def test_eight_channels_of_anything_else_are_refused(copy: Path) -> None:
    """InstructPix2Pix's config is Marigold's, and the image is in the other half."""
    save_unet(copy / "unet", in_channels=8)
    for name in ("StableDiffusionInstructPix2PixPipeline", "StableDiffusionPipeline"):
        with pytest.raises(WeightsError, match=r"in_channels=8 .*InstructPix2Pix.*names a Marigold pipeline"):
            StableDiffusionBackbone(pretrained=str(as_pipeline(copy, name)))
    # Marigold's decomposition into albedo and shading reads the latents of several predictions
    save_unet(copy / "unet", in_channels=12, out_channels=8)
    with pytest.raises(WeightsError, match="in_channels=12 where the VAE's latents have 4"):
        StableDiffusionBackbone(pretrained=str(as_pipeline(copy, "MarigoldIntrinsicsPipeline")))


def trained_unet(folder: Path) -> dict[str, Tensor]:
    """A UNet's tensors other than those in the folder, as CleanDIFT's files hold them."""
    tensors = load_file(folder / "unet/diffusion_pytorch_model.safetensors")
    return {name: tensor + 0.01 for name, tensor in tensors.items()}


@pytest.mark.parametrize("naming", ["diffusers", "original", "whole"])
@pytest.mark.parametrize("half", [False, True])
def test_a_unets_own_file_takes_the_place_of_the_bases(folder: Path, tmp_path: Path, naming: str, half: bool) -> None:
    """CleanDIFT: a bare state dict in diffusers' naming, or in the original one after its own conversion."""
    expected = trained_unet(folder)
    state = expected if naming == "diffusers" else ldm.unet_to_ldm(expected, ARCH["unet"])
    file = tmp_path / "cleandift_unet.safetensors"
    if naming == "whole":
        state = {**original(folder), **{ldm.UNET + name: tensor for name, tensor in state.items()}}
    if half:
        state = {name: tensor.half() for name, tensor in state.items()}
        expected = {name: tensor.half().float() for name, tensor in expected.items()}
    if naming == "original":
        file = file.with_suffix(".pt")
        torch.save(state, file)
    else:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
    base = StableDiffusionBackbone(pretrained=str(folder))
    backbone = StableDiffusionBackbone(pretrained=str(folder), unet=str(file))
    found = backbone.unet.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert all(torch.equal(a, b) for a, b in zip(base.vae.parameters(), backbone.vae.parameters(), strict=True))
    sentences = [b.text_encoder().encode(["a red box"]).tokens for b in (base, backbone)]
    assert torch.equal(*sentences)


def test_a_unets_own_folder_brings_its_config(folder: Path, tmp_path: Path) -> None:
    """Such as a UNet that BK-SDM's training writes."""
    unet = save_unet(tmp_path / "trained", **SMALL)
    backbone = StableDiffusionBackbone(pretrained=str(folder), unet=str(tmp_path / "trained"))
    assert backbone.architecture["unet"]["mid_block_type"] is None
    assert_features_are(backbone, unet, latents())


def test_a_unet_needs_its_model_and_must_fit_it(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file(trained_unet(folder), file)
    with pytest.raises(
        ConfigError, match=r"backbone\.unet: give the model whose VAE and text encoder belong to this UNet"
    ):
        StableDiffusionBackbone(config="tiny", unet=str(file))
    with pytest.raises(
        WeightsError, match=rf"backbone\.unet: {folder} has no config.json; give the folder of its UNet"
    ):
        StableDiffusionBackbone(pretrained=str(folder), unet=str(folder))
    with pytest.raises(WeightsError, match=r"backbone\.unet: there is no file or folder '/nowhere'"):
        StableDiffusionBackbone(pretrained=str(folder), unet="/nowhere")
    save_unet(tmp_path / "eight", in_channels=8)
    with pytest.raises(WeightsError, match=r"eight, unet: its config\.json has in_channels=8"):
        StableDiffusionBackbone(pretrained=str(folder), unet=str(tmp_path / "eight"))
    other = save_unet(tmp_path / "wide", cross_attention_dim=64).state_dict()
    save_file(other, file)
    with pytest.raises(
        WeightsError, match=r"x\.safetensors, unet: '.*attn2.to_k.weight' is \(32, 64\) where \(32, 128\)"
    ):
        StableDiffusionBackbone(pretrained=str(folder), unet=str(file))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"unet.conv_in.lora_A.weight": torch.zeros(2, 2)}, "is not a UNet of Stable Diffusion: it is a LoRA"),
        ({"add_embedding.linear_1.weight": torch.zeros(2, 2)}, "it is Stable Diffusion XL"),
        ({"label_emb.0.0.weight": torch.zeros(2, 2)}, "as Stable Diffusion XL and unCLIP do"),
        ({"conv_in.weight": torch.zeros(32, 9, 3, 3)}, "reads 9 channels instead of 4: an inpainting model"),
        ({"input_blocks.0.0.weight": torch.zeros(32, 9, 3, 3)}, "reads 9 channels instead of 4"),
        ({"conv_in.weight": torch.zeros(32, 8, 3, 3)}, "or Marigold, which is read as its diffusers folder"),
        ({"conv_in.weight": torch.zeros(32)}, "tensors missing"),
        ({"controlnet_cond_embedding.x": torch.zeros(1)}, "it is a ControlNet"),
        ({"single_transformer_blocks.0.x": torch.zeros(1)}, "it is Flux"),
        ({"transformer_blocks.0.attn.add_q_proj.weight": torch.zeros(1)}, "it is Stable Diffusion 3 or Flux"),
        ({"encoder.unet.unet.diffusion_model.x": torch.zeros(1)}, "VPD, Meta Prompts or ECoDepth; diffperc convert"),
        ({"x": torch.zeros(1)}, "neither 'conv_in.weight' nor 'input_blocks.0.0.weight'; its first tensor is 'x'"),
    ],
)
def test_what_is_no_unet_of_stable_diffusion_is_named(
    folder: Path, tmp_path: Path, state: dict[str, Tensor], message: str
) -> None:
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match=message):
        StableDiffusionBackbone(pretrained=str(folder), unet=str(tmp_path / "x.safetensors"))


def test_folders_of_one_part_and_of_other_things_say_what_they_are(folder: Path, tmp_path: Path) -> None:
    save_unet(tmp_path / "trained")
    with pytest.raises(
        WeightsError, match=r"trained: .*it is a UNet alone; give it as backbone\.unet, and the model whose VAE"
    ):
        StableDiffusionBackbone(pretrained=str(tmp_path / "trained"))
    (tmp_path / "trained/config.json").write_text('{"_class_name": "ControlNetModel"}')
    with pytest.raises(WeightsError, match="it is a ControlNet"):
        StableDiffusionBackbone(pretrained=str(tmp_path / "trained"))
    (tmp_path / "lora").mkdir()
    save_file({"unet.x.lora_A.weight": torch.zeros(1)}, tmp_path / "lora/pytorch_lora_weights.safetensors")
    with pytest.raises(WeightsError, match="it is a LoRA"):
        StableDiffusionBackbone(pretrained=str(tmp_path / "lora"))
