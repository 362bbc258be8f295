"""CLIP's frozen text encoder with its tokenizer, and where it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from diffperc.encoders.from_transformers import load_model, load_tokenizer
from diffperc.encoders.tokenizer import (
    OPENAI_TOKENS,
    check_tokenizer,
    clip_tokenizer,
    merges_of,
    tokenizer_from_merges,
)
from diffperc.errors import WeightsError
from diffperc.weights import ldm_names as ldm
from diffperc.weights.architecture import Architecture, architecture, config_folder
from diffperc.weights.assign import assign
from diffperc.weights.locate import WeightsSource, locate_at
from diffperc.weights.read import as_float32, read_config, read_state, without_prefix


class TextEncoding(NamedTuple):
    """Encoded sentences.

    Attributes:
        tokens: (B, N, D), the last hidden state after the final layer norm.
        pooled: (B, D), that of the end token, not projected.
    """

    tokens: Tensor
    pooled: Tensor


class TextEncoder:
    """Encodes sentences as the published methods do: padded to a fixed length, no attention mask (methods.md 1.2).

    It is deliberately not a module: strategies keep the vectors that they need as buffers, so that a checkpoint contains no
    text encoder.

    Args:
        model: is frozen here.
        tokenizer: the model's own.
    """

    def __init__(self, model: CLIPTextModel, tokenizer: CLIPTokenizer) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer

    @torch.no_grad()
    def encode(self, sentences: Sequence[str] | Tensor, max_length: int = 77) -> TextEncoding:
        """Encode sentences, each padded or cut to `max_length` tokens, N of `TextEncoding`; or their ids (B, N)."""
        ids = sentences if isinstance(sentences, Tensor) else self.ids(sentences, max_length)
        output = self.model(input_ids=ids.to(self.model.device))
        return TextEncoding(output.last_hidden_state, output.pooler_output)

    def ids(self, sentences: Sequence[str], max_length: int = 77) -> Tensor:
        """(B, `max_length`) int64 ids of the tokens of sentences."""
        padded = self.tokenizer(
            list(sentences), padding="max_length", max_length=max_length, truncation=True, return_tensors="pt"
        )
        found: Tensor = padded["input_ids"]
        return found

    def fingerprint(self) -> str:
        """A hash that is equal for equal weights, by which a cache keeps the vectors of different encoders apart."""
        digest = hashlib.sha256(str(len(self.tokenizer)).encode())
        for parameter in self.model.parameters():
            digest.update(parameter.detach().float().sum(dtype=torch.float64).numpy().tobytes())
        return digest.hexdigest()


class ExpressionEncoder(nn.Module):
    """A text encoder as a part of a model whose sentences are known only when it is used (methods.md 1.2).

    Args:
        encoder: frozen.
        length: number of tokens that each sentence is padded or cut to.
    """

    def __init__(self, encoder: TextEncoder, length: int) -> None:
        super().__init__()
        # a submodule, so that its weights are moved and saved with this module
        self.model = encoder.model
        self._encoder = encoder
        self.length = length

    def train(self, mode: bool = True) -> ExpressionEncoder:
        """Stays in evaluation mode: frozen means frozen."""
        return super().train(False)

    def cut(self, sentences: Sequence[str]) -> list[str]:
        """Those of the sentences that have more than `length` tokens, so that their end is not read."""
        counts = self._encoder.tokenizer(list(sentences), truncation=False, verbose=False)["input_ids"]
        return [sentence for sentence, ids in zip(sentences, counts, strict=True) if len(ids) > self.length]

    def words(self, sentence: str) -> tuple[str, ...]:
        """The word that each of the `length` tokens belongs to: empty for padding, ``(start)`` and ``(end)``."""
        tokenizer = self._encoder.tokenizer
        found = tokenizer([sentence], truncation=True, max_length=self.length, return_offsets_mapping=True)
        words: list[str] = []
        for i, (begin, end) in zip(found.word_ids(0), found["offset_mapping"][0], strict=True):
            pieces = [found.token_to_chars(0, j) for j, other in enumerate(found.word_ids(0)) if other == i]
            words.append(sentence[pieces[0].start : pieces[-1].end] if i is not None and end > begin else "")
        words[0], words[-1] = "(start)", "(end)"
        return (*words, *[""] * (self.length - len(words)))

    def ids(self, sentences: Sequence[str]) -> Tensor:
        """(B, `length`) int64 ids of the tokens of sentences."""
        return self._encoder.ids(sentences, self.length)

    def tokenizer_json(self) -> str:
        """The tokenizer as a file of the tokenizers library, which pads and cuts to `length`."""
        tokenizer = self._encoder.tokenizer
        backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        backend.enable_truncation(self.length)
        backend.enable_padding(pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token, length=self.length)
        found: str = backend.to_str()
        return found

    def forward(self, sentences: Sequence[str] | Tensor) -> Tensor:
        """B sentences, or their ids (B, `length`), to tokens (B, `length`, D), without gradient."""
        return self._encoder.encode(sentences, self.length).tokens


def load_text_encoder(source: WeightsSource | None, config: str | None, arch: Architecture) -> TextEncoder:
    """The text encoder and tokenizer of a source.

    Args:
        source: None for random weights.
        config: the shipped config, whose tokenizer is used where the source is a single file or None.
        arch: that of the source.

    Raises:
        WeightsError: there is none, it is incomplete, or the tokenizer is not its own.
    """
    where = source.name if source is not None else f"the random backbone '{config}'"
    if "text_encoder" not in arch:
        raise WeightsError(f"{where}: has no text_encoder, which this strategy needs.")
    values = arch["text_encoder"]
    width = arch.get("unet", {}).get("cross_attention_dim")
    if width is not None and values.get("hidden_size", width) != width:
        raise WeightsError(
            f"{where}: the tokens of its text_encoder are {values['hidden_size']} wide and those of its unet {width}; the "
            "parts belong to different models."
        )
    if source is None:
        model, tokenizer = _random_model(values), _tokenizer_of(config)
    elif source.is_file:
        model, tokenizer = _random_model(values), _tokenizer_of(config)
        _assign_original(model, source)
    else:
        model = load_model(CLIPTextModel, source.path / "text_encoder")
        tokenizer = load_tokenizer(CLIPTokenizer, source.path / "tokenizer")
    return TextEncoder(model, check_tokenizer(tokenizer, int(values["vocab_size"]), where))


def text_encoder_at(where: str, key: str, width: int) -> TextEncoder:
    """A text encoder alone, from a diffusers folder, a single file of Stable Diffusion, or a hub id with ``@commit``.

    Args:
        where: path or hub id.
        key: the name of the setting, for messages.
        width: number of channels that each token must have.

    Raises:
        WeightsError: there is none, or its tokens have another width.
    """
    patterns = ["text_encoder/config.json", "text_encoder/model.safetensors", "tokenizer/*"]
    kinds = "a diffusers folder, a .ckpt or .safetensors file, or a hub id such as owner/name@commit"
    source = locate_at(where, patterns, key, kinds)
    arch = architecture(None, source) if source.is_file else _text_architecture(source, key)
    encoder = load_text_encoder(source, None, arch)
    found = encoder.model.config.hidden_size
    if found != width:
        raise WeightsError(f"{key}: the tokens of {source.name} are {found} wide, this model reads {width}.")
    return encoder


def describe_text_encoder(encoder: TextEncoder, arch: Architecture) -> None:
    """Put into an architecture what `empty_text_encoder` needs: a checkpoint rebuilds the encoder without its folder."""
    values = encoder.model.config.to_dict()
    values.pop("_name_or_path", None)  # where it was on this machine is nobody's business
    arch["text_encoder"] = values
    _describe_tokenizer(encoder.tokenizer, arch)


def describe_tokenizer_of(folder: Path, arch: Architecture) -> None:
    """Put the tokenizer of a diffusers folder into an architecture, where the folder has one."""
    if (folder / "tokenizer").is_dir():
        _describe_tokenizer(load_tokenizer(CLIPTokenizer, folder / "tokenizer"), arch)


def _describe_tokenizer(tokenizer: CLIPTokenizer, arch: Architecture) -> None:
    """OpenAI's is in the package and needs no description."""
    arch.pop("tokenizer", None)
    if len(tokenizer) != OPENAI_TOKENS:
        arch["tokenizer"] = {"merges": merges_of(tokenizer)}


def empty_text_encoder(arch: Architecture) -> TextEncoder:
    """A text encoder whose weights a checkpoint will bring, with the tokenizer that the architecture names."""
    merges = arch.get("tokenizer", {}).get("merges")
    tokenizer = clip_tokenizer() if merges is None else tokenizer_from_merges(merges)
    config = CLIPTextConfig.from_dict(arch["text_encoder"])
    with torch.device("meta"):
        model = CLIPTextModel(config)
    # this buffer is not part of a checkpoint
    inner = getattr(model, "text_model", model)
    inner.embeddings.position_ids = torch.arange(config.max_position_embeddings)[None]
    return TextEncoder(model, check_tokenizer(tokenizer, int(config.vocab_size), "the checkpoint"))


def _random_model(values: dict[str, Any]) -> CLIPTextModel:
    return CLIPTextModel(CLIPTextConfig.from_dict(values))


def _tokenizer_of(config: str | None) -> CLIPTokenizer:
    """The tokenizer of a shipped config or a folder; OpenAI's where it has none."""
    if config is not None:
        folder = config_folder(config) / "tokenizer"
        if folder.is_dir():
            return CLIPTokenizer.from_pretrained(str(folder))
    return clip_tokenizer()


def _text_architecture(source: WeightsSource, key: str) -> Architecture:
    """The architecture of a folder from which only the text encoder is read."""
    file = source.path / "text_encoder/config.json"
    if not file.is_file():
        raise WeightsError(f"{key}: {source.name} has no text_encoder/config.json; not a diffusers folder.")
    try:
        config = read_config(file)
        return {"text_encoder": {**config, "vocab_size": int(config["vocab_size"])}}
    except (WeightsError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{key}: {file} is damaged, or not the config of a text encoder.") from error


def _assign_original(model: CLIPTextModel, source: WeightsSource) -> None:
    """Put the tensors of a single file in the original naming into the model."""
    state = without_prefix(read_state(source.path), ldm.TEXT)
    if not state:
        raise WeightsError(
            f"{source.name}: no tensors under '{ldm.TEXT}'; the text encoder of a single SD 2.x file cannot be read. "
            "Use a diffusers folder."
        )
    state = without_prefix(state, "text_model.")
    # transformers 5 dropped the inner 'text_model.' of this class
    inner = "text_model." if hasattr(model, "text_model") else ""
    tensors = {inner + k: v for k, v in state.items() if not k.endswith("position_ids")}
    assign(model, as_float32(tensors), source.name)
