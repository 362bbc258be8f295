"""TADP: a caption of the image as condition (Kondapaneni et al., CVPR 2024, arXiv 2310.00031; methods.md 5).

Tokens: the caption's 77 vectors from the backbone's own frozen text encoder, without an adapter; timestep 1; one pass.
With `attention`, cross-attention maps become further channels of the feature maps, as in VPD. In referring segmentation,
which the paper does not treat, the expression's tokens are appended to the caption's.

An image's caption comes from the first of these that has one:

- a file (`captions`), which ``scripts/caption_images.py`` writes;
- the data set, or ``caption=`` in prediction (`Batch.caption`);
- a captioner (`captioner`), which gets the network's input: the crop in training, each window in evaluation.

An image without a caption gets the empty sentence.

Differences from the released code:
- Latents are the posterior's mean times 0.18215; the published results used a sample of it, in evaluation too.
- The captioner is BLIP instead of BLIP-2, with the same minimum and maximum number of tokens.
- Class names are not appended to the caption, and the cross-domain prompts are not included.

In referring segmentation a checkpoint holds the text encoder twice, because the task has its own for the expressions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np
from torch import Tensor

from diffperc.backbones import Backbone
from diffperc.encoders import ExpressionEncoder
from diffperc.encoders.captioner import Captioner, load_captioner
from diffperc.errors import DataError
from diffperc.files.read import parse_json
from diffperc.ranges import Count, Positive, Timestep, WithAttention
from diffperc.strategies.base import Strategy, constant_timestep, expression_length, with_expression
from diffperc.strategies.parts.attention_maps import append_attention, widened
from diffperc.types import Batch, Branch, Conditioning, TextSpec

log = logging.getLogger(__name__)

_LENGTH = 77


class TADP(Strategy):
    """The tokens of a caption.

    Args:
        backbone: gives the widths and the text encoder, of which the strategy keeps a copy.
        text: gives the length of expressions.
        captions: a json file ``{"image.jpg": "a sentence", ...}``; a key is a file name or the end of a path.
        captioner: a BLIP folder that transformers wrote, or a hub id with ``@commit``; loaded when an image needs it.
        timestep: diffusion timestep of the UNet's pass.
        latent_scale: factor on the latents; 0.18215 gives those of Stable Diffusion a standard deviation of about 1.
        attention: strides in image pixels at which attention maps are appended; 16 and 32 as published.
        detach_attention: no gradient through the appended maps, as in VPD.
    """

    def __init__(
        self,
        backbone: Backbone,
        text: TextSpec,
        captions: str | None = None,
        captioner: str | None = None,
        timestep: Timestep = 1,
        latent_scale: Positive = 0.18215,
        attention: Sequence[Count] = (),
        detach_attention: WithAttention = True,
    ) -> None:
        super().__init__()
        self.captions, self.captioner = captions, captioner
        self.timestep, self.latent_scale = timestep, latent_scale
        self.attention, self.detach_attention = tuple(attention), detach_attention
        self.text_encoder = backbone.expression_encoder(_LENGTH)
        self.out_spec = widened(backbone.spec, self.attention, _LENGTH + expression_length(text))
        # loaded when they are needed; not part of a checkpoint
        self._table: Mapping[str, str] | None = None
        self._captioner: Captioner | None = None
        self._warned = False

    @property
    def trains(self) -> tuple[str, ...]:
        """All but the output layers."""
        return ("features", "time_embedding", "attention_scores")

    @property
    def caption_encoder(self) -> ExpressionEncoder:
        return self.text_encoder

    def initialise(self, backbone: Backbone) -> None:
        """Read the captions, so that a wrong file is reported before anything is trained."""
        if self.captions is not None:
            self._table = read_captions(self.captions)

    def token_names(self, batch: Batch, words: Sequence[str]) -> tuple[str, ...]:
        """The words of the caption, and those of the expression."""
        return (*self.text_encoder.words(self.sentences(batch)[0]), *words)

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """One pass; see `Strategy.forward`."""
        caption = self.text_encoder(self.sentences(batch)) if batch.caption_tokens is None else batch.caption_tokens
        tokens = with_expression(caption, batch)
        conditioning = Conditioning(tokens, constant_timestep(latents, self.timestep))
        features = backbone.extract(latents, conditioning, self.attention)
        return [Branch(append_attention(features, self.attention, self.detach_attention), "caption")]

    def sentences(self, batch: Batch) -> list[str]:
        """One caption per image.

        Raises:
            DataError: see `read_captions`.
            WeightsError: the captioner cannot be loaded.
        """
        sentences = [self._given(batch, i) for i in range(len(batch))]
        missing = np.flatnonzero(np.array(sentences) == "").tolist()
        if not missing:
            return sentences
        if self.captioner is None:
            self._warn_once(_path(batch, missing[0]))
            return sentences
        if self._captioner is None:
            self._captioner = load_captioner(self.captioner, "strategy.captioner")
        for i, sentence in zip(missing, self._captioner(batch.image[missing]), strict=True):
            sentences[i] = sentence
        return sentences

    def _given(self, batch: Batch, i: int) -> str:
        """The caption in the file, else the one in the batch; empty where there is neither."""
        path = _path(batch, i)
        if path and self._table is None and self.captions is not None:
            # `initialise` was not called, because a checkpoint was loaded
            self._table = read_captions(self.captions)
        sentence = caption_of(self._table or {}, path)
        if not sentence and batch.caption is not None:
            return batch.caption[i].strip()
        return sentence or ""

    def _warn_once(self, path: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "strategy=tadp: %s has no caption, the empty sentence is used instead (reported once). Captions come from "
                "the data set, strategy.captions=file.json, strategy.captioner=model, or caption=... in prediction.",
                path or "the image",
            )


def _path(batch: Batch, i: int) -> str:
    """The image's path; empty where it is not of a data set."""
    return batch.meta[i].path if batch.meta else ""


def read_captions(path: str) -> dict[str, str]:
    """The captions of a file ``{"image.jpg": "a sentence", ...}``.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    try:
        content = parse_json(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"strategy.captions: {path} cannot be read as json ({type(error).__name__}); scripts/caption_images.py writes "
            "such a file."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f'strategy.captions: {path} must hold {{"image.jpg": "a sentence", ...}}.')
    for name, sentence in content.items():
        if not isinstance(sentence, str):
            raise DataError(
                f"strategy.captions: {path}: the caption of '{name}' must be a sentence, found {sentence!r}."
            )
    return {PurePath(name).as_posix(): sentence.strip() for name, sentence in content.items()}


def caption_of(captions: Mapping[str, str], path: str) -> str | None:
    """The caption whose key is the longest end of the path, in whole folder and file names; None if there is none."""
    rest = PurePath(path).as_posix()
    while rest not in captions:
        _, slash, rest = rest.partition("/")
        if not slash:
            return None
    return captions[rest]
