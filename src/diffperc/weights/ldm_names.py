"""Names in Stable Diffusion's original (LDM) checkpoints and in diffusers, both ways (methods.md 0.9).

The two differ in the names of modules, and in the VAE's attention, whose 1x1 convolutions became linear layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from torch import Tensor

from diffperc.errors import WeightsError

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
# prefixes of tensors' names: those of modules in one naming, and in the other
ModuleNames = dict[str, str]
Value = TypeVar("Value")

_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_VAE_RESNET = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "nin_shortcut": "conv_shortcut"}
_VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def unet_modules(config: Mapping[str, Any]) -> ModuleNames:
    """Module prefixes of the UNet, LDM name to diffusers name, for a diffusers UNet config."""
    modules = {
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "input_blocks.0.0": "conv_in",
        "middle_block.1": "mid_block.attentions.0",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
    }
    modules |= _nested("middle_block.0", "mid_block.resnets.0", _RESNET)
    modules |= _nested("middle_block.2", "mid_block.resnets.1", _RESNET)
    layers, last = int(config["layers_per_block"]), len(config["block_out_channels"]) - 1
    for i, kind in enumerate(config["down_block_types"]):
        modules |= _down_block(i, layers, attends="CrossAttn" in kind, halves=i < last)
    for i, kind in enumerate(config["up_block_types"]):
        modules |= _up_block(i, layers + 1, attends="CrossAttn" in kind, doubles=i < last)
    return modules


def _down_block(i: int, layers: int, attends: bool, halves: bool) -> ModuleNames:
    """LDM counts the layers and the halvings of all blocks in one list, behind the first convolution."""
    modules: ModuleNames = {}
    first = 1 + (layers + 1) * i
    for j in range(layers):
        modules |= _nested(f"input_blocks.{first + j}.0", f"down_blocks.{i}.resnets.{j}", _RESNET)
        if attends:
            modules[f"input_blocks.{first + j}.1"] = f"down_blocks.{i}.attentions.{j}"
    if halves:
        modules[f"input_blocks.{first + layers}.0.op"] = f"down_blocks.{i}.downsamplers.0.conv"
    return modules


def _up_block(i: int, layers: int, attends: bool, doubles: bool) -> ModuleNames:
    """On the way up the doubling belongs to the last layer, behind its attention."""
    modules: ModuleNames = {}
    first = layers * i
    for j in range(layers):
        modules |= _nested(f"output_blocks.{first + j}.0", f"up_blocks.{i}.resnets.{j}", _RESNET)
        if attends:
            modules[f"output_blocks.{first + j}.1"] = f"up_blocks.{i}.attentions.{j}"
    if doubles:
        place = 2 if attends else 1
        modules[f"output_blocks.{first + layers - 1}.{place}.conv"] = f"up_blocks.{i}.upsamplers.0.conv"
    return modules


def vae_modules(config: Mapping[str, Any]) -> ModuleNames:
    """Module prefixes of the VAE's encoder, LDM name to diffusers name, for a diffusers VAE config."""
    modules = {
        "quant_conv": "quant_conv",
        "encoder.conv_in": "encoder.conv_in",
        "encoder.norm_out": "encoder.conv_norm_out",
        "encoder.conv_out": "encoder.conv_out",
    }
    modules |= _nested("encoder.mid.block_1", "encoder.mid_block.resnets.0", _VAE_RESNET)
    modules |= _nested("encoder.mid.attn_1", "encoder.mid_block.attentions.0", _VAE_ATTENTION)
    modules |= _nested("encoder.mid.block_2", "encoder.mid_block.resnets.1", _VAE_RESNET)
    layers, blocks = int(config["layers_per_block"]), len(config["block_out_channels"])
    for i in range(blocks):
        for j in range(layers):
            modules |= _nested(f"encoder.down.{i}.block.{j}", f"encoder.down_blocks.{i}.resnets.{j}", _VAE_RESNET)
    # the coarsest block does not halve
    for i in range(blocks - 1):
        modules[f"encoder.down.{i}.downsample.conv"] = f"encoder.down_blocks.{i}.downsamplers.0.conv"
    return modules


def _nested(ldm: str, diffusers: str, inner: Mapping[str, str]) -> ModuleNames:
    """The modules inside two modules that correspond."""
    return with_prefixes(inner, f"{ldm}.", f"{diffusers}.")


def with_prefixes(modules: Mapping[str, str], ldm: str, diffusers: str) -> ModuleNames:
    """The names with a prefix before each."""
    return {ldm + a: diffusers + b for a, b in modules.items()}


def inverted(modules: Mapping[str, str]) -> ModuleNames:
    """The mapping in the opposite direction."""
    return dict(zip(modules.values(), modules.keys(), strict=True))


def rename(state: Mapping[str, Value], modules: Mapping[str, str]) -> dict[str, Value]:
    """Rename keys by their longest known prefix: a module, or a tensor's whole name.

    Raises:
        WeightsError: a key has no known prefix.
    """
    renamed, unknown = {}, []
    for key, value in state.items():
        prefix = _known_prefix(key, modules)
        if prefix:
            renamed[modules[prefix] + key.removeprefix(prefix)] = value
        else:
            unknown.append(key)
    if unknown:
        raise WeightsError(f"{counted(unknown)} not belong to this architecture, the first is '{unknown[0]}'.")
    return renamed


def _known_prefix(key: str, modules: Mapping[str, str]) -> str:
    """The longest known prefix of a tensor's name, empty if there is none."""
    prefix = key
    while prefix and prefix not in modules:
        prefix = prefix.rpartition(".")[0]
    return prefix


def counted(names: Collection[str]) -> str:
    """``1 tensor does`` or ``12 tensors do``."""
    return "1 tensor does" if len(names) == 1 else f"{len(names)} tensors do"


def encoding_half(vae: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a VAE's encoder."""
    return {name: tensor for name, tensor in vae.items() if name.startswith(("encoder.", "quant_conv."))}


def vae_from_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Encoder and quant_conv in diffusers' names; keys without the ``first_stage_model.`` prefix."""
    renamed = rename(encoding_half(state), vae_modules(config))
    return _reshape_attention(renamed, lambda t: t.flatten(1), r"\.to_[qkv]|\.to_out\.0")


def vae_to_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The inverse of `vae_from_ldm`."""
    renamed = rename(encoding_half(state), inverted(vae_modules(config)))
    return _reshape_attention(renamed, lambda t: t[:, :, None, None], r"attn_1\.(?:q|k|v|proj_out)")


def _reshape_attention(state: dict[str, Tensor], change: Callable[[Tensor], Tensor], names: str) -> dict[str, Tensor]:
    """The VAE's tensors with `change` applied to the weights of its attention, whose names match `names`."""
    pattern = re.compile(rf"^encoder\.mid[._].*?(?:{names})\.weight$")
    weights = filter(pattern.search, state)
    return state | {name: change(state[name]) for name in weights}


def unet_from_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The UNet in diffusers' names; keys without the ``model.diffusion_model.`` prefix."""
    return rename(state, unet_modules(config))


def unet_to_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The inverse of `unet_from_ldm`."""
    return rename(state, inverted(unet_modules(config)))
