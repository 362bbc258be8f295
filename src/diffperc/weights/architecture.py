"""Architectures: the configs of a model's parts, shipped, from a folder, or recognised from a single file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffperc.errors import WeightsError, did_you_mean
from diffperc.weights import ldm_names as ldm
from diffperc.weights.locate import PARTS, WeightsSource, shipped_models
from diffperc.weights.marigold import config_of_image_half, is_marigold
from diffperc.weights.read import read_config, read_state

Architecture = dict[str, dict[str, Any]]
# parts without which there is no backbone
_NEEDED = ("unet", "vae")
# the width of the text tokens that the UNet attends to identifies Stable Diffusion 1.x and 2.x
_TOKEN_WIDTHS = {768: "sd15", 1024: "sd21"}
_LATENTS = 4
# the first layer of a UNet: of a whole checkpoint, and of a UNet alone in the original and in diffusers' naming
_FIRST_WEIGHTS = (f"{ldm.UNET}input_blocks.0.0.weight", "input_blocks.0.0.weight", "conv_in.weight")
# by the number of channels that the UNet reads
_READERS = {
    7: "an upscaler",
    8: "an editing model, or Marigold, which is read as its diffusers folder",
    9: "an inpainting model",
}
_LORA = (
    "it is a LoRA, which changes a model; merge it into that model with diffusers (fuse_lora, save_pretrained) and give the "
    "folder"
)
_XL = "it is Stable Diffusion XL, which is not supported; take 1.x or 2.x"
_CONTROLNET = "it is a ControlNet, which only steers a model; give the model itself"
_TRANSFORMER = "a transformer without a UNet; take Stable Diffusion 1.x or 2.x"
_UNET_ALONE = (
    "it is a UNet alone; give it as backbone.unet, and the model whose VAE and text encoder belong to it as "
    "backbone.pretrained"
)
_EMBEDDING = "it is an embedding (textual inversion), a word for a model; give the model itself"
# by a part of the names of tensors: what such a file holds, and what to do
_OTHER_KINDS = {
    "lora_": _LORA,
    ".lora": _LORA,
    "conditioner.embedders.": _XL,
    "add_embedding.linear_1.": _XL,
    "label_emb.0.0.": "it also reads a vector beside the words, as Stable Diffusion XL and unCLIP do; take 1.x or 2.x",
    "control_model.": _CONTROLNET,
    "controlnet_cond_embedding.": _CONTROLNET,
    "joint_blocks.": f"it is Stable Diffusion 3, {_TRANSFORMER}",
    "double_blocks.": f"it is Flux, {_TRANSFORMER}",
    "single_transformer_blocks.": f"it is Flux, {_TRANSFORMER}",
    ".attn.add_q_proj.": f"it is Stable Diffusion 3 or Flux, {_TRANSFORMER}",
    "unet.unet.diffusion_model.": "it is a trained model of VPD, Meta Prompts or ECoDepth; diffperc convert makes a "
    "checkpoint of it",
    "backbone.unet.": "it is a checkpoint of diffperc, for ckpt=...",
    "emb_params": _EMBEDDING,
    "string_to_param": _EMBEDDING,
}
_ALONE = {
    "down_blocks.0.resnets.0.time_emb_proj.": _UNET_ALONE,
    "input_blocks.0.0.weight": _UNET_ALONE,
    "encoder.down": "it is a VAE alone; give the whole checkpoint of its model",
    "text_model.encoder.": "it is a text encoder alone; give the whole checkpoint of its model",
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
    if is_marigold(folder):
        found["unet"] = config_of_image_half(found["unet"])
    if "image_encoder" not in found:
        # Stable Diffusion's own folders have none; CLIP ViT-L/14's belongs to its text encoder
        found["image_encoder"] = read_config(config_folder("sd15") / "image_encoder/config.json")
    return found


def _recognise(source: WeightsSource) -> str:
    """The name of the shipped architecture that a single file has."""
    state = read_state(source.path)
    check_channels(state, source.name)
    if _TOKEN_WEIGHT not in state:
        raise WeightsError(f"{source.name}: not a Stable Diffusion checkpoint: {_what(state)}.")
    width = state[_TOKEN_WEIGHT].shape[1]
    if width not in _TOKEN_WIDTHS:
        raise WeightsError(f"{source.name}: unknown architecture (context width {width}); set backbone.config.")
    return _TOKEN_WIDTHS[width]


def check_channels(state: Mapping[str, Any], name: str) -> None:
    """Check that a UNet reads latents alone.

    Args:
        state: of a whole checkpoint or of a UNet, in any naming.
        name: of the file, for messages.

    Raises:
        WeightsError: its first layer reads further channels.
    """
    for first in _FIRST_WEIGHTS:
        count = state[first].shape[1] if first in state and state[first].dim() > 1 else _LATENTS
        if count != _LATENTS:
            kind = _READERS.get(count, "another family")
            raise WeightsError(
                f"{name}: its UNet reads {count} channels instead of {_LATENTS}: {kind}. Take Stable Diffusion 1.x or 2.x "
                "itself."
            )


def other_kind(state: Mapping[str, Any]) -> str:
    """What tensors are that are of no UNet of Stable Diffusion, and what to do; empty if nothing is recognised."""
    return _by_marks(state, _OTHER_KINDS)


def _what(state: Mapping[str, Any]) -> str:
    """What a single file holds instead of Stable Diffusion, by the names of its tensors."""
    return other_kind(state) or _by_marks(state, _ALONE) or f"it has no '{_TOKEN_WEIGHT}'"


def _by_marks(state: Mapping[str, Any], kinds: Mapping[str, str]) -> str:
    for mark, kind in kinds.items():
        if any(mark in name for name in state):
            return kind
    return ""


def _why_not(folder: Path) -> str:
    """Why a folder is not one of Stable Diffusion in the diffusers layout, and what to do."""
    if (folder / "transformer").is_dir():
        return "it holds a transformer instead of a UNet, as of Stable Diffusion 3 or Flux; take Stable Diffusion 1.x or 2.x"
    if (folder / "config.json").is_file():
        return _which_part(folder)
    if any(folder.glob("*lora*.safetensors")):
        return _LORA
    inner = sorted(file.parent for file in folder.glob("*/model_index.json"))
    if inner:
        return f"give the folder in it, {inner[0]}"
    snapshots = sorted(folder.glob("snapshots/*/model_index.json"))
    if snapshots:
        return f"it is a folder of the hub's cache; give {snapshots[-1].parent}"
    return "not a diffusers folder"


def _which_part(folder: Path) -> str:
    """What a folder is that holds one part of a model, and what to do."""
    kind = str(read_config(folder / "config.json").get("_class_name"))
    if "ControlNet" in kind:
        return _CONTROLNET
    above = folder.resolve().parent
    if kind.startswith("UNet") and not (above / "vae").is_dir():
        return _UNET_ALONE
    return f"it is one part of a model; give the folder above, {above}"
