"""CLIP's frozen image encoder, for strategies that condition on the image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModel

from diffperc.encoders.from_transformers import load_model
from diffperc.errors import WeightsError
from diffperc.weights.locate import WeightsSource, locate

# mean and standard deviation of the colours in the training images of CLIP and BLIP
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# fields of the config that must be equal for the weights to fit
_FIELDS = ("hidden_size", "patch_size", "image_size", "num_hidden_layers")


def normalised(image: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1], normalised with the mean and standard deviation of CLIP's colours."""
    mean = image.new_tensor(MEAN)[:, None, None]
    std = image.new_tensor(STD)[:, None, None]
    return (image - mean) / std


class ImageEncoderSource(TypedDict, total=False):
    """Where the weights of a CLIP model are, see `StableDiffusionBackbone`."""

    pretrained: str
    revision: str | None


class ClipImageEncoder(nn.Module):
    """A frozen CLIP vision tower on images of any size, with random weights until `load_image_encoder`.

    Args:
        config: fields of transformers' `CLIPVisionConfig`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = CLIPVisionModel(CLIPVisionConfig.from_dict(dict(config))).eval().requires_grad_(False)
        self.width = int(config["hidden_size"])

    def train(self, mode: bool = True) -> ClipImageEncoder:
        """Stays in evaluation mode: frozen means frozen."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1], resized to the tower's square, to tokens (B, 1 + patches, width)."""
        side = self.model.config.image_size
        image = F.interpolate(image, size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
        tokens: Tensor = self.model(pixel_values=normalised(image)).last_hidden_state
        return tokens


def load_image_encoder(encoder: ClipImageEncoder, source: WeightsSource, fallback: ImageEncoderSource | None) -> None:
    """Put pretrained weights into an image encoder.

    Args:
        encoder: its config must fit the weights.
        source: of the backbone; its folder ``image_encoder`` is used if there is one.
        fallback: ``{pretrained, revision}`` of a CLIP model that holds a vision tower.

    Raises:
        WeightsError: nothing was found, tensors are missing, or the architecture differs.
    """
    folder = source.path / "image_encoder"
    if not folder.is_dir():
        folder = _fallback_folder(fallback)
    loaded = load_model(CLIPVisionModel, folder)
    own = encoder.model.config
    for name in _FIELDS:
        found, expected = getattr(loaded.config, name), getattr(own, name)
        if found != expected:
            raise WeightsError(f"{folder}: {name} is {found}, expected {expected}.")
    encoder.model.load_state_dict(loaded.state_dict())


def _fallback_folder(fallback: ImageEncoderSource | None) -> Path:
    if fallback is None:
        raise WeightsError("backbone.image_encoder: this strategy needs CLIP's image encoder; set its `pretrained`.")
    patterns = ["config.json", "model.safetensors"]
    return locate(fallback["pretrained"], fallback.get("revision"), patterns).path
