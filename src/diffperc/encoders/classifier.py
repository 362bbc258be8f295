"""A frozen image classifier: a vision transformer, whose logits describe what an image shows."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ViTConfig, ViTForImageClassification

from diffperc.encoders.from_transformers import load_model
from diffperc.errors import ConfigError, WeightsError, did_you_mean
from diffperc.ranges import Count, Positive
from diffperc.weights.locate import locate_at

_CLASSES = 1000  # of ImageNet
# the modules of a layer: in files and in early versions of transformers, and in the memory of later ones
_LAYER = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm_before": "layernorm_before",
    "layernorm_after": "layernorm_after",
}


class ViTFields(TypedDict, total=False):
    """Fields of transformers' `ViTConfig` that a frozen network has; they must be equal for the weights to fit."""

    hidden_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    intermediate_size: Count
    image_size: Count
    patch_size: Count
    num_labels: Count
    hidden_act: str
    layer_norm_eps: Positive
    qkv_bias: bool


class ImageClassifier(nn.Module):
    """A frozen ViT on images of any size, with random weights until `load_classifier`.

    Args:
        vit: fields of transformers' `ViTConfig`, such as ``hidden_size``, that differ from ViT-B/16 at 224 pixels with
            the 1000 classes of ImageNet (``num_labels``).

    Raises:
        ConfigError: a field is unknown, or the fields do not fit together.
    """

    def __init__(self, vit: ViTFields) -> None:
        super().__init__()
        unknown = sorted(vit.keys() - ViTFields.__annotations__.keys())
        if unknown:
            known = ViTFields.__annotations__
            raise ConfigError(f"strategy.vit: there is no field '{unknown[0]}'{did_you_mean(unknown[0], known)}")
        try:
            config = ViTConfig(**{"num_labels": _CLASSES, **vit})
            self.model = ViTForImageClassification(config).eval().requires_grad_(False)
        except Exception as error:  # transformers raises every kind for values that do not fit
            reason = " ".join((str(error) or type(error).__name__).split())[:160]
            raise ConfigError(f"strategy.vit: {dict(vit)} is no vision transformer ({reason}).") from error
        self.classes = int(config.num_labels)

    def train(self, mode: bool = True) -> ImageClassifier:
        """Stays in evaluation mode: frozen means frozen."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1], resized to the model's square, to logits (B, classes)."""
        side = self.model.config.image_size
        image = F.interpolate(image, size=(side, side), mode="bilinear", antialias=True).clamp(0, 1)
        # normalised with a mean and a standard deviation of 0.5
        logits: Tensor = self.model(pixel_values=image * 2 - 1).logits
        return logits


def stored_modules(layers: int) -> dict[str, str]:
    """The modules of a ViT's layers by their names in files, and by those that they have in memory here.

    Args:
        layers: number of layers.
    """
    with torch.device("meta"):
        own = ViTForImageClassification(ViTConfig(num_hidden_layers=1)).state_dict()
    if any(".encoder.layer." in name for name in own):
        return {}
    modules = {}
    for layer in range(layers):
        for stored, here in _LAYER.items():
            modules[f"vit.encoder.layer.{layer}.{stored}"] = f"vit.layers.{layer}.{here}"
    return modules


def load_classifier(classifier: ImageClassifier, where: str, key: str) -> None:
    """Put pretrained weights into a classifier.

    Args:
        classifier: its fields must fit the weights.
        where: a folder that transformers wrote, or a hub id with ``@commit``.
        key: the name of the setting, for messages.

    Raises:
        WeightsError: there is none, it is incomplete, or of another architecture.
    """
    kinds = "a folder that transformers wrote, a hub id such as owner/name@commit, or null for random weights"
    folder = locate_at(where, ["config.json", "model.safetensors"], key, kinds).path
    loaded = load_model(ViTForImageClassification, folder)
    own = classifier.model.config
    for name in ViTFields.__annotations__:
        found, expected = getattr(loaded.config, name), getattr(own, name)
        if found != expected:
            raise WeightsError(
                f"{key}: {name} of {folder} is {found}, expected {expected}; set strategy.vit as in its config.json."
            )
    classifier.model.load_state_dict(loaded.state_dict())
