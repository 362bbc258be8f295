"""The same small weights as a diffusers folder and in Stable Diffusion's original naming."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

from diffperc.weights import ldm_names as ldm
from diffperc.weights.architecture import architecture, config_folder

ARCH = architecture("tiny", None)
# as in Stable Diffusion's VAE
ARCH["vae"]["mid_block_add_attention"] = True


@pytest.fixture(scope="package")
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
