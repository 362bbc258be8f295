"""Architectures: the configs of a model's parts, shipped, from a folder, or recognised from a single file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffperc.errors import WeightsError, did_you_mean
from diffperc.weights import ldm_names as ldm
from diffperc.weights.locate import PARTS, WeightsSource, shipped_models
from diffperc.weights.read import read_config, read_state

Architecture = dict[str, dict[str, Any]]
# parts without which there is no backbone
_NEEDED = ("unet", "vae")
# the width of the text tokens that the UNet attends to identifies Stable Diffusion 1.x and 2.x
_TOKEN_WIDTHS = {768: "sd15", 1024: "sd21"}
_FIRST_WEIGHT, _LATENTS = f"{ldm.UNET}input_blocks.0.0.weight", 4
_LORA = (
    "it is a LoRA, which changes a model; merge it into that model with diffusers (fuse_lora, save_pretrained) and give the "
    "folder"
)
# by a part of the names of tensors: what such a file holds, and what to do
_KINDS = {
    "lora_": _LORA,
    ".lora": _LORA,
    "conditioner.embedders.": "it is Stable Diffusion XL, which is not supported; take 1.x or 2.x",
    "control_model.": "it is a ControlNet, which only steers a model; give the model itself",
    "controlnet_cond_embedding.": "it is a ControlNet, which only steers a model; give the model itself",
    "joint_blocks.": "it is Stable Diffusion 3, a transformer without a UNet; take 1.x or 2.x",
    "double_blocks.": "it is Flux, a transformer without a UNet; take Stable Diffusion 1.x or 2.x",
    "backbone.unet.": "it is a checkpoint of diffperc, for ckpt=...",
    "down_blocks.0.resnets.0.time_emb_proj.": "it is a UNet alone; put it into a diffusers folder with the VAE and the text "
    "encoder of its model, as unet/diffusion_pytorch_model.safetensors, and give the folder",
    "input_blocks.0.0.weight": "it is a UNet alone; give the whole checkpoint of its model",
    "encoder.down": "it is a VAE alone; give the whole checkpoint of its model",
    "text_model.encoder.": "it is a text encoder alone; give the whole checkpoint of its model",
    "emb_params": "it is an embedding (textual inversion), a word for a model; give the model itself",
    "string_to_param": "it is an embedding (textual inversion), a word for a model; give the model itself",
}
_TOKEN_WEIGHT = f"{ldm.UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


def architecture(config: str | Mapping[str, Any] | None, source: WeightsSource | None) -> Architecture:
    """The configs of UNet, VAE, text encoder and image encoder, by part.

    Args:
        config: name of a shipped one (``sd15``, ``sd21``, ``tiny``), a folder in the diffusers layout, the mapping
            stored in a checkpoint, or None for that of the source.
        source: the weights; None for random weights.

    Raises:
        WeightsError: there is no such config, it is incomplete, or the source does not determine it.
    """
    if isinstance(config, Mapping):
        return {part: dict(values) for part, values in config.items()}
    if config is not None:
        return _read_folder(config_folder(config))
    if source is None:
        raise WeightsError("backbone.config: needed where backbone.pretrained is null, for example config=tiny.")
    if source.is_file:
        return _read_folder(config_folder(_recognise(source)))
    return _read_folder(source.path)


def config_folder(config: str) -> Path:
    """The folder of a shipped config by name, or the folder itself.

    Raises:
        WeightsError: there is neither.
    """
    shipped = shipped_models()
    if config in shipped:
        return shipped[config]
    if Path(config).is_dir():
        return Path(config)
    raise WeightsError(f"backbone.config: there is no config or folder '{config}'{did_you_mean(config, shipped)}")


def _read_folder(folder: Path) -> Architecture:
    """The configs in a diffusers folder.

    Raises:
        WeightsError: that of the UNet or of the VAE is missing, or one is damaged.
    """
    found: Architecture = {}
    for part in PARTS:
        file = folder / part / "config.json"
        if file.is_file():
            found[part] = read_config(file)
        elif part in _NEEDED:
            raise WeightsError(f"{folder}: no {part}/config.json; {_why_not(folder)}.")
    if "image_encoder" not in found:
        # Stable Diffusion's own folders have none; CLIP ViT-L/14's belongs to its text encoder
        found["image_encoder"] = read_config(config_folder("sd15") / "image_encoder/config.json")
    return found


def _recognise(source: WeightsSource) -> str:
    """The name of the shipped architecture that a single file has."""
    state = read_state(source.path)
    first = state.get(_FIRST_WEIGHT)
    if first is not None and first.shape[1] != _LATENTS:
        raise WeightsError(
            f"{source.name}: its UNet reads {first.shape[1]} channels instead of {_LATENTS}: an inpainting, editing or "
            "upscaling model. Take Stable Diffusion 1.x or 2.x itself."
        )
    if _TOKEN_WEIGHT not in state:
        raise WeightsError(f"{source.name}: not a Stable Diffusion checkpoint: {_what(state)}.")
    width = state[_TOKEN_WEIGHT].shape[1]
    if width not in _TOKEN_WIDTHS:
        raise WeightsError(f"{source.name}: unknown architecture (context width {width}); set backbone.config.")
    return _TOKEN_WIDTHS[width]


def _what(state: Mapping[str, Any]) -> str:
    """What a single file holds instead of Stable Diffusion, by the names of its tensors."""
    for mark, kind in _KINDS.items():
        if any(mark in name for name in state):
            return kind
    return f"it has no '{_TOKEN_WEIGHT}'"


def _why_not(folder: Path) -> str:
    """Why a folder is not one of Stable Diffusion in the diffusers layout, and what to do."""
    if (folder / "transformer").is_dir():
        return "it holds a transformer instead of a UNet, as of Stable Diffusion 3 or Flux; take Stable Diffusion 1.x or 2.x"
    if (folder / "config.json").is_file():
        return f"it is one part of a model; give the folder above, {folder.resolve().parent}"
    inner = sorted(file.parent for file in folder.glob("*/model_index.json"))
    if inner:
        return f"give the folder in it, {inner[0]}"
    snapshots = sorted(folder.glob("snapshots/*/model_index.json"))
    if snapshots:
        return f"it is a folder of the hub's cache; give {snapshots[-1].parent}"
    return "not a diffusers folder"
