"""From images to latents: the encoding half of a VAE, or of TAESD, a small one that imitates Stable Diffusion's."""

from __future__ import annotations

import json
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor
from torch.nn import functional as F

from diffperc.errors import WeightsError
from diffperc.weights.locate import locate_at, read_state

_KEY = "backbone.vae"
_TAESD = "madebyollin/taesd"
_KINDS = (
    "taesd, a file or folder of its weights, a hub id such as owner/name@commit, or null for the VAE of the weights"
)
_WEIGHTS = "diffusion_pytorch_model.safetensors"
# of the VAE that TAESD imitates (methods.md 0.2)
_STABLE_DIFFUSION = 0.18215


def vae_encoder(config: dict[str, Any]) -> Any:
    """An `AutoencoderKL` or `AutoencoderTiny` without what decodes."""
    if _is_small(config):
        vae = AutoencoderTiny.from_config(config)
    else:
        vae = AutoencoderKL.from_config(config)
        del vae.post_quant_conv
    del vae.decoder
    return vae


def latents_of(vae: Any, image: Tensor) -> Tensor:
    """Latents (B, 4, H/8, W/8) of images (B, 3, H, W) in [0, 1], as the VAE gives them: posterior mean, not scaled."""
    if _is_small(vae.config):
        # TAESD's are scaled already
        return vae.encode(image * 2 - 1).latents / vae.config.scaling_factor
    return vae.encode(image * 2 - 1).latent_dist.mode()


def _is_small(config: Any) -> bool:
    return config.get("_class_name") == "AutoencoderTiny"


def small_vae(where: str, replaced: dict[str, Any], is_random: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """TAESD's config, with the scale of the VAE that it stands for, and the tensors of its encoder.

    Args:
        where: ``taesd``, a file in its author's naming or diffusers', a diffusers folder, or a hub id with ``@commit``.
        replaced: config of the VAE that belongs to the UNet.
        is_random: the UNet knows no latents yet.

    Raises:
        WeightsError: nothing was found, it is no TAESD, or the UNet knows other latents than Stable Diffusion's.
    """
    scale = float(replaced.get("scaling_factor", _STABLE_DIFFUSION))
    if not is_random and scale != _STABLE_DIFFUSION:
        raise WeightsError(
            f"{_KEY}={where}: gives latents of Stable Diffusion 1.x and 2.x, and this UNet was pretrained with others "
            f"(scaling_factor {scale:g}, not {_STABLE_DIFFUSION}). Leave {_KEY} null, or set backbone.pretrained to one of "
            "those."
        )
    source = locate_at(_TAESD if where == "taesd" else where, ["config.json", _WEIGHTS], _KEY, _KINDS)
    config: dict[str, Any] = {}
    file = source.path
    if not source.is_file:
        file = source.path / _WEIGHTS
        try:
            config = json.loads((source.path / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WeightsError(f"{_KEY}: {source.path} has no readable config.json; not a diffusers folder.") from error
        if not _is_small(config):
            raise WeightsError(f"{_KEY}: {source.path} holds {config.get('_class_name')}, not AutoencoderTiny.")
    state = read_state(file)
    if any(key.startswith("encoder.") for key in state):
        state = {k: v for k, v in state.items() if k.startswith("encoder.")}
    else:  # the author's file of the encoder alone counts its layers
        state = {f"encoder.layers.{k}": v for k, v in state.items()}
    config |= {"_class_name": "AutoencoderTiny", "scaling_factor": _STABLE_DIFFUSION}
    return config, {k: v.float() for k, v in state.items()}


@torch.no_grad()
def keep_the_image(vae: Any) -> None:
    """Let a VAE of random weights pass on what it sees: averages where it halves, residual branches silent, unit latents.

    Layers drawn at random one after the other lose most of a small image: a decoder of depth on latents of
    a narrower `config=tiny` ended 10 % lower with this start (0.746 against 0.829 m, one seed, 200 steps of 16 scenes).
    """
    for block in vae.encoder.down_blocks:
        for downsampler in block.downsamplers or ():
            weight = downsampler.conv.weight
            weight.zero_()
            weight[:, :, :2, :2] = torch.eye(weight.shape[0])[:, :, None, None] / 4
            downsampler.conv.bias.zero_()
    for block in (*vae.encoder.down_blocks, vae.encoder.mid_block):
        for resnet in block.resnets:
            resnet.conv2.weight.zero_()
            resnet.conv2.bias.zero_()
    for attention in filter(None, vae.encoder.mid_block.attentions):
        attention.to_out[0].weight.zero_()
        attention.to_out[0].bias.zero_()
    # one cell of the latents sees its own cell only
    weight = vae.encoder.conv_out.weight
    centre = weight[:, :, 1, 1] * 3
    weight.zero_()
    weight[:, :, 1, 1] = centre
    # latents of mean 0 and deviation 1, measured on colours that change slowly
    generator = torch.Generator().manual_seed(0)
    colours = F.interpolate(torch.rand(16, 3, 4, 4, generator=generator), size=(64, 64), mode="bilinear") * 2 - 1
    moments = vae.quant_conv(vae.encoder(colours))
    mean, deviation = moments.mean((0, 2, 3)), moments.std((0, 2, 3))
    vae.quant_conv.weight.div_(deviation[:, None, None, None])
    vae.quant_conv.bias.sub_(mean).div_(deviation)
