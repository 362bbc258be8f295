"""Encoding images to latents, by a VAE or by TAESD, a small network that imitates the VAE of Stable Diffusion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional as F

from diffperc.errors import WeightsError
from diffperc.weights.locate import locate_at
from diffperc.weights.read import as_float32, read_config, read_state

_KEY = "backbone.vae"
_TAESD = "madebyollin/taesd"
_KINDS = (
    "taesd, a file or folder of its weights, a hub id such as owner/name@commit, or null for the VAE of the weights"
)
_WEIGHTS = "diffusion_pytorch_model.safetensors"
# the scaling factor of the VAE that TAESD imitates (methods.md 0.2)
_STABLE_DIFFUSION = 0.18215


def vae_encoder(config: dict[str, Any]) -> Any:
    """An `AutoencoderKL` or `AutoencoderTiny` without its decoder."""
    if _is_small(config):
        vae = AutoencoderTiny.from_config(config)
    else:
        vae = AutoencoderKL.from_config(config)
        del vae.post_quant_conv
    del vae.decoder
    return vae


def latents_of(vae: Any, image: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] to latents (B, 4, H/8, W/8), the mean of the VAE's posterior, not scaled."""
    if _is_small(vae.config):
        # TAESD computes scaled latents
        return vae.encode(image * 2 - 1).latents / vae.config.scaling_factor
    return vae.encode(image * 2 - 1).latent_dist.mode()


def _is_small(config: Any) -> bool:
    return config.get("_class_name") == "AutoencoderTiny"


def small_vae(where: str, replaced: dict[str, Any], is_random: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """TAESD's config, with the scaling factor of the VAE that it replaces, and the tensors of its encoder.

    Args:
        where: ``taesd``, a file in its author's naming or diffusers', a diffusers folder, or a hub id with ``@commit``.
        replaced: config of the VAE that belongs to the UNet.
        is_random: whether the UNet has random weights, so that it has not been trained on any latents.

    Raises:
        WeightsError: nothing was found, it is not TAESD, or the UNet was trained on latents other than Stable Diffusion's.
    """
    scale = float(replaced.get("scaling_factor", _STABLE_DIFFUSION))
    if not is_random and scale != _STABLE_DIFFUSION:
        raise WeightsError(
            f"{_KEY}={where}: computes latents of Stable Diffusion 1.x and 2.x, and this UNet was pretrained with others "
            f"(scaling_factor {scale:g}, not {_STABLE_DIFFUSION}). Leave {_KEY} null, or set backbone.pretrained to one of "
            "those."
        )
    source = locate_at(_TAESD if where == "taesd" else where, ["config.json", _WEIGHTS], _KEY, _KINDS)
    if source.is_file:
        config, state = {}, read_state(source.path)
    else:
        config, state = _small_config(source.path), read_state(source.path / _WEIGHTS)
    config |= {"_class_name": "AutoencoderTiny", "scaling_factor": _STABLE_DIFFUSION}
    return config, as_float32(_small_encoder(state))


def _small_config(folder: Path) -> dict[str, Any]:
    try:
        config = read_config(folder / "config.json")
    except WeightsError as error:
        raise WeightsError(f"{_KEY}: {folder} has no readable config.json; not a diffusers folder.") from error
    if not _is_small(config):
        raise WeightsError(f"{_KEY}: {folder} holds {config.get('_class_name')}, not AutoencoderTiny.")
    return config


def _small_encoder(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of TAESD's encoder in diffusers' names."""
    encoder = {}
    for name, tensor in state.items():
        if name.startswith("encoder."):
            encoder[name] = tensor
    if encoder:
        return encoder
    # the author's own file holds only the encoder, and its names begin with the number of the layer
    return {f"encoder.layers.{name}": tensor for name, tensor in state.items()}


@torch.no_grad()
def initialise_to_keep_image(vae: Any) -> None:
    """Initialise a VAE that has no pretrained weights so that its latents preserve the content of the image.

    Downsampling computes averages, residual and attention branches add nothing, every cell of the latents depends only on
    the features of that cell, and the latents have mean 0 and standard deviation 1.

    With torch's own random initialisation most of a small image is lost. A depth decoder on the latents of a narrower
    `config=tiny` reached an RMSE that was 10 % lower with this initialisation (0.746 m instead of 0.829 m; one seed, 200
    steps of 16 scenes).

    Args:
        vae: of `vae_encoder`, an `AutoencoderKL`; changed in place.
    """
    encoder = vae.encoder
    for module in encoder.modules():
        if isinstance(module, Downsample2D):
            _average(module.conv)
        elif isinstance(module, ResnetBlock2D):
            _silence(module.conv2)
        elif isinstance(module, Attention):
            _silence(module.to_out[0])
    _pointwise(encoder.conv_out)
    _standardise(vae)


def _average(conv: Any) -> None:
    """Each output channel is the mean of 2 x 2 pixels of the same input channel."""
    weight = nn.init.zeros_(conv.weight)
    weight[:, :, :2, :2] = torch.eye(weight.shape[0])[:, :, None, None] / 4
    nn.init.zeros_(conv.bias)


def _silence(layer: Any) -> None:
    """The output is 0."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def _pointwise(conv: Any) -> None:
    """Keep only the centre of a 3 x 3 kernel, three times as large, so that the output varies as much as before."""
    centre = conv.weight[:, :, 1, 1] * 3
    nn.init.zeros_(conv.weight)[:, :, 1, 1] = centre


def _standardise(vae: Any) -> None:
    """Scale and shift the last layer to mean 0 and standard deviation 1 on images whose colours vary slowly."""
    generator = torch.Generator().manual_seed(0)
    colours = F.interpolate(torch.rand(16, 3, 4, 4, generator=generator), size=(64, 64), mode="bilinear") * 2 - 1
    moments = vae.quant_conv(vae.encoder(colours))
    mean, std = moments.mean((0, 2, 3)), moments.std((0, 2, 3))
    vae.quant_conv.weight.div_(std[:, None, None, None])
    vae.quant_conv.bias.sub_(mean).div_(std)
