"""Marigold's UNets, which read the latents of the image and, behind them, those of what they predict (arXiv 2312.02145)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from diffperc.weights.read import read_object

log = logging.getLogger(__name__)

# of the image; as many are those of the prediction
_IMAGE_CHANNELS = 4
_FIRST = "conv_in.weight"


def is_marigold(folder: Path) -> bool:
    """Whether a diffusers folder is that of one of Marigold's pipelines, all of which read the image's latents first.

    The UNet alone does not tell: InstructPix2Pix reads as many channels, with the image's behind the others.
    """
    index = folder / "model_index.json"
    return index.is_file() and str(read_object(index).get("_class_name")).startswith("Marigold")


def config_of_image_half(unet: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a Marigold UNet that reads the image's latents alone; another one stays as it is."""
    if unet.get("in_channels") != 2 * _IMAGE_CHANNELS:
        return dict(unet)
    return {**unet, "in_channels": _IMAGE_CHANNELS}


def image_half(unet: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of a Marigold UNet that read the image's latents alone, which is to read zeros for the others.

    Args:
        unet: in diffusers' names.
        name: of the model, for the log.
    """
    first = unet.get(_FIRST)
    if first is None or first.dim() != 4 or first.shape[1] != 2 * _IMAGE_CHANNELS:
        return dict(unet)
    log.info(
        "%s: a Marigold model, whose UNet reads the latents of the image and of the prediction; its first layer keeps the "
        "half of the image.",
        name,
    )
    return {**unet, _FIRST: first[:, :_IMAGE_CHANNELS].contiguous()}
