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
            raise WeightsError(f"{folder}: no {part}/config.json; not a diffusers folder.")
    if "image_encoder" not in found:
        # Stable Diffusion's own folders have none; CLIP ViT-L/14's belongs to its text encoder
        found["image_encoder"] = read_config(config_folder("sd15") / "image_encoder/config.json")
    return found


def _recognise(source: WeightsSource) -> str:
    """The name of the shipped architecture that a single file has."""
    state = read_state(source.path)
    if _TOKEN_WEIGHT not in state:
        raise WeightsError(f"{source.name}: not a Stable Diffusion checkpoint: it has no '{_TOKEN_WEIGHT}'.")
    width = state[_TOKEN_WEIGHT].shape[1]
    if width not in _TOKEN_WIDTHS:
        raise WeightsError(f"{source.name}: unknown architecture (context width {width}); set backbone.config.")
    return _TOKEN_WIDTHS[width]
