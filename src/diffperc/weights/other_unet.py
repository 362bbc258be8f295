"""A UNet from a file or folder of its own in place of a model's: CleanDIFT's, or one that was fine-tuned with diffusers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from diffperc.errors import WeightsError
from diffperc.weights import ldm_names as ldm
from diffperc.weights.architecture import Architecture, check_channels, other_kind
from diffperc.weights.honoured import check_honoured
from diffperc.weights.locate import WeightsSource, locate_at
from diffperc.weights.parts import STEM, weight_files
from diffperc.weights.read import as_float32, check_finite, read_config, read_state, without_prefix

_KEY = "backbone.unet"
_KINDS = (
    "a file of a UNet's weights, a diffusers folder of a UNet, a hub id such as owner/name@commit, or null for the UNet of "
    "backbone.pretrained"
)


def other_unet(where: str, arch: Architecture) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config of a UNet and its float32 tensors in diffusers' names.

    Args:
        where: a file in diffusers' naming or the original one, a diffusers folder, or a hub id with ``@commit``.
        arch: of the model whose VAE and text encoder are used with it. A file has the architecture of that model's UNet.

    Raises:
        WeightsError: there is none, it is something else, or the backbone does not compute it.
    """
    source = _locate(where)
    config = _config(source, arch)
    state = _from_file(source, config) if source.is_file else _from_folder(source)
    check_finite(state, where)
    return config, as_float32(state)


def config_of_other_unet(where: str, arch: Architecture) -> dict[str, Any]:
    """The config alone; see `other_unet`."""
    return _config(_locate(where), arch)


def _locate(where: str) -> WeightsSource:
    return locate_at(where, ["config.json", "*model.safetensors"], _KEY, _KINDS)


def _config(source: WeightsSource, arch: Architecture) -> dict[str, Any]:
    if source.is_file:
        return arch["unet"]
    file = source.path / "config.json"
    if not file.is_file():
        inner = source.path / "unet"
        remedy = f"give the folder of its UNet, {inner}" if inner.is_dir() else f"give {_KINDS}"
        raise WeightsError(f"{_KEY}: {source.name} has no config.json; {remedy}.")
    config = read_config(file)
    check_honoured({**arch, "unet": config}, source.name)
    return config


def _from_folder(source: WeightsSource) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for file in weight_files(source.path, STEM, source.name):
        state |= read_state(file)
    return state


def _from_file(source: WeightsSource, config: dict[str, Any]) -> dict[str, Tensor]:
    state = read_state(source.path)
    state = without_prefix(state, ldm.UNET) or state
    kind = other_kind(state)
    if kind:
        raise WeightsError(f"{_KEY}: {source.name} is not a UNet of Stable Diffusion: {kind}.")
    check_channels(state, source.name)
    if "conv_in.weight" in state:
        return state
    if "input_blocks.0.0.weight" in state:
        return ldm.unet_from_ldm(state, config)
    raise WeightsError(
        f"{_KEY}: {source.name} is not a UNet of Stable Diffusion: it has neither 'conv_in.weight' nor "
        f"'input_blocks.0.0.weight'; its first tensor is '{min(state)}'."
    )
