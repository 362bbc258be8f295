"""A frozen captioner, which describes an image in words. It is never part of a model or a checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BertTokenizer, BlipForConditionalGeneration

from diffperc.encoders.clip_image import normalised
from diffperc.encoders.from_transformers import load_model, load_tokenizer
from diffperc.errors import WeightsError
from diffperc.weights.locate import locate_at

# lengths of the captions in TADP's reported rows (methods.md 5)
MIN_TOKENS, MAX_TOKENS = 40, 77


class Captioner:
    """Writes one sentence per image, by greedy decoding, so that the same image always gets the same sentence.

    It is deliberately not a module, so that a model with a captioner does not save it.

    Args:
        model: BLIP; it is frozen here.
        tokenizer: the model's own.
        min_tokens: smallest length of a sentence, in tokens.
        max_tokens: largest length of a sentence, in tokens.
    """

    def __init__(
        self,
        model: BlipForConditionalGeneration,
        tokenizer: BertTokenizer,
        min_tokens: int = MIN_TOKENS,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.min_tokens, self.max_tokens = min_tokens, max_tokens

    @torch.no_grad()
    def __call__(self, image: Tensor) -> list[str]:
        """Images (B, 3, H, W) in [0, 1], of any size, to B sentences. The model is moved to the images' device."""
        self.model.to(image.device)
        side = self.model.config.vision_config.image_size
        image = F.interpolate(image.float(), size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
        # mixed precision in training must not change the captions
        with torch.autocast(image.device.type, enabled=False):
            ids = self.model.generate(
                normalised(image),
                do_sample=False,
                num_beams=1,
                min_new_tokens=self.min_tokens,
                max_new_tokens=self.max_tokens,
            )
        return [text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]


def load_captioner(where: str, key: str, min_tokens: int = MIN_TOKENS, max_tokens: int = MAX_TOKENS) -> Captioner:
    """A captioner with its tokenizer.

    Args:
        where: a folder of BLIP that transformers wrote, or a hub id with ``@commit``.
        key: the name of the setting, for messages.
        min_tokens: see `Captioner`.
        max_tokens: see `Captioner`.

    Raises:
        WeightsError: there is none, it is incomplete, or the tokenizer belongs to another model.
    """
    folder = _folder(where, key)
    model = load_model(BlipForConditionalGeneration, folder)
    tokenizer = load_tokenizer(BertTokenizer, folder)
    # transformers returns a tokenizer of five tokens where it found no files; BLIP's start tokens may be missing in it
    rows = int(model.config.text_config.vocab_size)
    if not rows - 2 <= len(tokenizer) <= rows:
        raise WeightsError(
            f"{key}: the tokenizer in {folder} has {len(tokenizer)} tokens, the model {rows}; vocab.txt or "
            "tokenizer.json is missing or incomplete."
        )
    return Captioner(model, tokenizer, min_tokens, max_tokens)


def _folder(where: str, key: str) -> Path:
    texts = ["*.json", "vocab.txt"]
    kinds = "a folder that transformers wrote, or a hub id such as owner/name@commit"
    folder = locate_at(where, [*texts, "model.safetensors"], key, kinds).path
    if folder.is_dir() and not (folder / "model.safetensors").is_file():
        # the hub's blip-image-captioning-base has only this file
        folder = locate_at(where, [*texts, "pytorch_model.bin"], key, kinds).path
    return folder
