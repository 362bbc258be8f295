"""A frozen captioner: an image in words. Loaded only to write sentences; never a part of a model or a checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BertTokenizer, BlipForConditionalGeneration

from diffperc.encoders.clip_image import normalised
from diffperc.errors import WeightsError
from diffperc.weights.locate import checked, locate_at

# of the captions of TADP's reported rows (methods.md 5)
MIN_TOKENS, MAX_TOKENS = 40, 77


class Captioner:
    """Writes a sentence about each image: greedily, so that the same image always gets the same one.

    Not a module on purpose: what holds it does not save it.

    Args:
        model: BLIP.
        tokenizer: its own.
        min_tokens, max_tokens: length of a sentence.
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
        """Images (B, 3, H, W) in [0, 1], of any size, to a sentence each. The model follows them to their device."""
        self.model.to(image.device)
        side = self.model.config.vision_config.image_size
        image = F.interpolate(image.float(), size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
        # the precision of a training run must not change what is said
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
        key: what the user sets, for messages.
        min_tokens, max_tokens: see `Captioner`.

    Raises:
        WeightsError: there is none, it is incomplete, or the tokenizer is not its own.
    """
    texts = ["*.json", "vocab.txt"]
    kinds = "a folder that transformers wrote, or a hub id such as owner/name@commit"
    source = locate_at(where, [*texts, "model.safetensors"], key, kinds)
    if source.path.is_dir() and not (source.path / "model.safetensors").is_file():
        # the hub's blip-image-captioning-base has no other
        source = locate_at(where, [*texts, "pytorch_model.bin"], key, kinds)
    model = checked(BlipForConditionalGeneration, str(source.path))
    try:
        tokenizer = BertTokenizer.from_pretrained(str(source.path))
    except Exception as error:  # transformers raises every kind for a damaged folder
        raise WeightsError(f"{key}: {source.path} has no readable tokenizer ({type(error).__name__}).") from error
    # transformers returns a tokenizer of five tokens where it found no files; BLIP's start tokens may be missing in it
    rows = int(model.config.text_config.vocab_size)
    if not rows - 2 <= len(tokenizer) <= rows:
        raise WeightsError(
            f"{key}: the tokenizer in {source.path} has {len(tokenizer)} tokens, the model {rows}; vocab.txt or "
            "tokenizer.json is missing or incomplete."
        )
    return Captioner(model, tokenizer, min_tokens, max_tokens)
