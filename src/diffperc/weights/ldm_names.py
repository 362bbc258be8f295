"""Names of Stable Diffusion's original (LDM) checkpoints and of diffusers, both ways (methods.md 0.9).

The two differ in the names of modules, and in the VAE's attention, whose 1x1 convolutions became linear layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from torch import Tensor

from diffperc.errors import WeightsError

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
Pairs = dict[str, str]
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


def _nested(pairs: Pairs, ldm: str, diffusers: str, inner: Mapping[str, str]) -> None:
    pairs.update({f"{ldm}.{a}": f"{diffusers}.{b}" for a, b in inner.items()})


def unet_modules(config: Mapping[str, Any]) -> Pairs:
    """Module prefixes of the UNet, LDM name to diffusers name, for a diffusers UNet config."""
    pairs = {
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "input_blocks.0.0": "conv_in",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
    }
    layers, blocks = int(config["layers_per_block"]), len(config["block_out_channels"])
    for i, kind in enumerate(config["down_block_types"]):
        for j in range(layers):
            n = 1 + (layers + 1) * i + j
            _nested(pairs, f"input_blocks.{n}.0", f"down_blocks.{i}.resnets.{j}", _RESNET)
            if "CrossAttn" in kind:
                pairs[f"input_blocks.{n}.1"] = f"down_blocks.{i}.attentions.{j}"
        if i < blocks - 1:
            pairs[f"input_blocks.{(layers + 1) * (i + 1)}.0.op"] = f"down_blocks.{i}.downsamplers.0.conv"
    _nested(pairs, "middle_block.0", "mid_block.resnets.0", _RESNET)
    pairs["middle_block.1"] = "mid_block.attentions.0"
    _nested(pairs, "middle_block.2", "mid_block.resnets.1", _RESNET)
    for k, kind in enumerate(config["up_block_types"]):
        attends = "CrossAttn" in kind
        for j in range(layers + 1):
            n = (layers + 1) * k + j
            _nested(pairs, f"output_blocks.{n}.0", f"up_blocks.{k}.resnets.{j}", _RESNET)
            if attends:
                pairs[f"output_blocks.{n}.1"] = f"up_blocks.{k}.attentions.{j}"
        if k < blocks - 1:
            n = (layers + 1) * k + layers
            pairs[f"output_blocks.{n}.{2 if attends else 1}.conv"] = f"up_blocks.{k}.upsamplers.0.conv"
    return pairs


def vae_modules(config: Mapping[str, Any]) -> Pairs:
    """Module prefixes of the VAE's encoder, LDM name to diffusers name, for a diffusers VAE config."""
    pairs = {
        "quant_conv": "quant_conv",
        "encoder.conv_in": "encoder.conv_in",
        "encoder.norm_out": "encoder.conv_norm_out",
        "encoder.conv_out": "encoder.conv_out",
    }
    blocks = len(config["block_out_channels"])
    for i in range(blocks):
        for j in range(int(config["layers_per_block"])):
            _nested(pairs, f"encoder.down.{i}.block.{j}", f"encoder.down_blocks.{i}.resnets.{j}", _VAE_RESNET)
        if i < blocks - 1:
            pairs[f"encoder.down.{i}.downsample.conv"] = f"encoder.down_blocks.{i}.downsamplers.0.conv"
    _nested(pairs, "encoder.mid.block_1", "encoder.mid_block.resnets.0", _VAE_RESNET)
    _nested(pairs, "encoder.mid.attn_1", "encoder.mid_block.attentions.0", _VAE_ATTENTION)
    _nested(pairs, "encoder.mid.block_2", "encoder.mid_block.resnets.1", _VAE_RESNET)
    return pairs


def rename(state: Mapping[str, Value], modules: Mapping[str, str]) -> dict[str, Value]:
    """Rename keys by their longest known prefix: a module, or a tensor's whole name.

    Raises:
        WeightsError: a key has no known prefix.
    """
    renamed, unknown = {}, []
    for key, tensor in state.items():
        cuts = [*(m.start() for m in re.finditer(r"\.", key)), len(key)]
        prefix = next((key[:c] for c in reversed(cuts) if key[:c] in modules), None)
        if prefix is None:
            unknown.append(key)
        else:
            renamed[modules[prefix] + key[len(prefix) :]] = tensor
    if unknown:
        raise WeightsError(f"{counted(unknown)} not belong to this architecture, the first is '{unknown[0]}'.")
    return renamed


def counted(names: Collection[str]) -> str:
    """``1 tensor does`` or ``12 tensors do``."""
    return "1 tensor does" if len(names) == 1 else f"{len(names)} tensors do"


def _reshape_attention(state: dict[str, Tensor], change: Callable[[Tensor], Tensor], names: str) -> dict[str, Tensor]:
    pattern = re.compile(rf"^encoder\.mid[._].*?(?:{names})\.weight$")
    return {k: change(v) if pattern.search(k) else v for k, v in state.items()}


def vae_from_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Encoder and quant_conv in diffusers' names; keys without the ``first_stage_model.`` prefix."""
    kept = {k: v for k, v in state.items() if k.startswith(("encoder.", "quant_conv."))}
    renamed = rename(kept, vae_modules(config))
    return _reshape_attention(renamed, lambda t: t.flatten(1), r"\.to_[qkv]|\.to_out\.0")


def vae_to_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The inverse of `vae_from_ldm`."""
    kept = {k: v for k, v in state.items() if k.startswith(("encoder.", "quant_conv."))}
    renamed = rename(kept, {b: a for a, b in vae_modules(config).items()})
    return _reshape_attention(renamed, lambda t: t[:, :, None, None], r"attn_1\.(?:q|k|v|proj_out)")


def unet_from_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The UNet in diffusers' names; keys without the ``model.diffusion_model.`` prefix."""
    return rename(state, unet_modules(config))


def unet_to_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The inverse of `unet_from_ldm`."""
    return rename(state, {b: a for a, b in unet_modules(config).items()})
