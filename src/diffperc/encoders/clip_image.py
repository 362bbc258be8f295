"""The CLIP encoders that belong to a source of weights, checked after loading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModel

from diffperc.encoders import (
    OPENAI_TOKENS,
    TextEncoder,
    check_tokenizer,
    clip_tokenizer,
    merges_of,
    tokenizer_from_merges,
)
from diffperc.errors import WeightsError
from diffperc.weights import ldm_names as ldm
from diffperc.weights.locate import (
    Architecture,
    Source,
    architecture,
    checked,
    config_folder,
    fill,
    locate,
    locate_at,
    read_state,
    without_prefix,
)

# of CLIP's images, and of BLIP's
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def normalised(image: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] with CLIP's mean and deviation of colours."""
    mean, std = (image.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return (image - mean) / std


class ClipImageEncoder(nn.Module):
    """A frozen CLIP vision tower on images of any size.

    Args:
        config: of transformers' `CLIPVisionModel`.
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


def load_image_encoder(encoder: ClipImageEncoder, source: Source | None, fallback: Mapping[str, Any] | None) -> None:
    """Put pretrained weights into an image encoder.

    Args:
        source: of the backbone; its folder ``image_encoder`` is used if there is one.
        fallback: ``{pretrained, revision}`` of a CLIP model that holds a vision tower.

    Raises:
        WeightsError: nothing was found, or tensors are missing.
    """
    folder = source.path / "image_encoder" if source is not None else None
    if folder is None or not folder.is_dir():
        if fallback is None or source is None:
            raise WeightsError(
                "backbone.image_encoder: this strategy needs CLIP's image encoder; set its `pretrained`."
            )
        patterns = ["config.json", "model.safetensors"]
        folder = locate(fallback["pretrained"], fallback.get("revision"), patterns).path
    loaded = checked(CLIPVisionModel, str(folder))
    own = encoder.model.config
    for name in ("hidden_size", "patch_size", "image_size", "num_hidden_layers"):
        if getattr(loaded.config, name) != getattr(own, name):
            raise WeightsError(f"{folder}: {name} is {getattr(loaded.config, name)}, expected {getattr(own, name)}.")
    encoder.model.load_state_dict(loaded.state_dict())


def load_text_encoder(source: Source | None, config: str | None, arch: Architecture) -> TextEncoder:
    """The text encoder and tokenizer of a source.

    Args:
        source: None for random weights.
        config: the shipped config, whose tokenizer serves random weights.

    Raises:
        WeightsError: there is none, it is incomplete, or the tokenizer is not its own.
    """
    where = source.name if source is not None else f"the random backbone '{config}'"
    if "text_encoder" not in arch:
        raise WeightsError(f"{where}: has no text_encoder, which this strategy needs.")
    vocabulary = int(arch["text_encoder"]["vocab_size"])
    if source is not None and not source.is_file:
        model = checked(CLIPTextModel, str(source.path / "text_encoder"))
        tokenizer = _tokenizer(source.path / "tokenizer")
    else:
        model = CLIPTextModel(CLIPTextConfig.from_dict(arch["text_encoder"]))
        if source is not None:
            _fill_text(model, source)
        own = config_folder(config) / "tokenizer" if config is not None else None
        has_own = own is not None and own.is_dir()
        tokenizer = CLIPTokenizer.from_pretrained(str(own)) if has_own else clip_tokenizer()
    return TextEncoder(model, check_tokenizer(tokenizer, vocabulary, where))


def _tokenizer(folder: Path) -> CLIPTokenizer:
    if not folder.is_dir():
        raise WeightsError(f"{folder}: there is no such folder, and a text encoder needs its tokenizer.")
    try:
        return CLIPTokenizer.from_pretrained(str(folder))
    except Exception as error:  # as above
        raise WeightsError(f"{folder}: cannot be loaded as a tokenizer ({type(error).__name__}).") from error


def text_encoder_at(where: str, key: str, width: int) -> TextEncoder:
    """A text encoder alone, from a diffusers folder, one file of Stable Diffusion, or a hub id with ``@commit``.

    Args:
        key: what the user sets, for messages.
        width: of its tokens.

    Raises:
        WeightsError: there is none, or its tokens have another width.
    """
    patterns = ["text_encoder/config.json", "text_encoder/model.safetensors", "tokenizer/*"]
    kinds = "a diffusers folder, a .ckpt or .safetensors file, or a hub id such as owner/name@commit"
    source = locate_at(where, patterns, key, kinds)
    if source.is_file:
        arch = architecture(None, source)
    else:
        file = source.path / "text_encoder/config.json"
        if not file.is_file():
            raise WeightsError(f"{key}: {source.name} has no text_encoder/config.json; not a diffusers folder.")
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
            arch = {"text_encoder": {**config, "vocab_size": int(config["vocab_size"])}}
        except (ValueError, TypeError, KeyError) as error:
            raise WeightsError(f"{key}: {file} is damaged, or no config of a text encoder.") from error
    encoder = load_text_encoder(source, None, arch)
    if encoder.model.config.hidden_size != width:
        raise WeightsError(
            f"{key}: the tokens of {source.name} are {encoder.model.config.hidden_size} wide, this model reads {width}."
        )
    return encoder


def describe_text_encoder(encoder: TextEncoder, arch: Architecture) -> None:
    """Put into an architecture what `empty_text_encoder` needs: a checkpoint rebuilds the encoder without its folder."""
    arch["text_encoder"] = encoder.model.config.to_dict()
    arch.pop("tokenizer", None)
    if len(encoder.tokenizer) != OPENAI_TOKENS:
        arch["tokenizer"] = {"merges": merges_of(encoder.tokenizer)}


def empty_text_encoder(arch: Architecture) -> TextEncoder:
    """A text encoder whose weights a checkpoint will bring, with the tokenizer that the architecture names."""
    merges = arch.get("tokenizer", {}).get("merges")
    tokenizer = clip_tokenizer() if merges is None else tokenizer_from_merges(merges)
    config = CLIPTextConfig.from_dict(arch["text_encoder"])
    with torch.device("meta"):
        model = CLIPTextModel(config)
    # not part of a checkpoint
    inner = getattr(model, "text_model", model)
    inner.embeddings.position_ids = torch.arange(config.max_position_embeddings)[None]
    return TextEncoder(model, check_tokenizer(tokenizer, int(config.vocab_size), "the checkpoint"))


def _fill_text(model: CLIPTextModel, source: Source) -> None:
    state = without_prefix(read_state(source.path), ldm.TEXT)
    if not state:
        raise WeightsError(
            f"{source.name}: no tensors under '{ldm.TEXT}'; the text encoder of a single SD 2.x file cannot be read. "
            "Use a diffusers folder."
        )
    state = without_prefix(state, "text_model.")
    state = {k: v.float() for k, v in state.items() if not k.endswith("position_ids")}
    # transformers 5 dropped the inner 'text_model.' of this class
    inner = "text_model." if any(k.startswith("text_model.") for k in model.state_dict()) else ""
    fill(model, {inner + k: v for k, v in state.items()}, source.name)
