"""TADP: a caption of the image (Kondapaneni et al., CVPR 2024, arXiv 2310.00031; methods.md 5).

The caption's 77 token vectors of the backbone's own frozen text encoder, without an adapter; timestep 1; one pass. Where
`attention` asks for them, cross-attention maps become further channels of the feature maps, as in VPD. For referring
segmentation, which the paper does not treat, the expression's tokens stand behind the caption's.

An image's caption is the first there is of

- a file (`captions`), which ``scripts/caption_images.py`` writes;
- the data set, or ``caption=`` in prediction (`Batch.caption`);
- a captioner (`captioner`), which looks at what the network sees: the crop in training, each window in evaluation;
- the empty sentence.

Differences from the released code:
- Latents are the posterior's mean times 0.18215; the reported rows draw a sample of it, in evaluation too.
- The captioner is BLIP, theirs BLIP-2; the least and largest numbers of tokens are theirs.
- Neither class names beside the caption nor the cross-domain prompts.

With referring segmentation a checkpoint holds the text encoder twice: the task's own reads the expressions.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from torch import Tensor

from diffperc.backbones import Backbone
from diffperc.encoders.captioner import Captioner, load_captioner
from diffperc.errors import DataError
from diffperc.strategies.base import Strategy, constant_timestep, expression_length, with_expression
from diffperc.strategies.parts.attention_maps import append, widened
from diffperc.types import Batch, Branch, Conditioning, TextSpec

log = logging.getLogger(__name__)

_LENGTH = 77


class TADP(Strategy):
    """A sentence about the image.

    Args:
        backbone: for its widths, and for its text encoder, which the strategy keeps.
        text: whose expressions are appended.
        captions: a json file ``{"image.jpg": "a sentence", ...}``; a key is a file name or the end of a path.
        captioner: a folder of BLIP that transformers wrote, or a hub id with ``@commit``; loaded when an image needs it.
        timestep: diffusion timestep the UNet is told.
        latent_scale: what latents are multiplied by; 0.18215 brings those of Stable Diffusion to about deviation 1.
        attention: strides in image pixels at which attention maps are appended; 16 and 32 as published.
        detach_attention: no gradient through the appended maps, as in VPD.
    """

    def __init__(
        self,
        backbone: Backbone,
        text: TextSpec,
        captions: str | None = None,
        captioner: str | None = None,
        timestep: int = 1,
        latent_scale: float = 0.18215,
        attention: Sequence[int] = (),
        detach_attention: bool = True,
    ) -> None:
        super().__init__()
        self.captions, self.captioner = captions, captioner
        self.timestep, self.latent_scale = timestep, latent_scale
        self.attention, self.detach_attention = tuple(attention), detach_attention
        self.text_encoder = backbone.expression_encoder(_LENGTH)
        self.out_spec = widened(backbone.spec, self.attention, _LENGTH + expression_length(text))
        # read and loaded when they are needed; not part of a checkpoint
        self._table: Mapping[str, str] | None = None
        self._writer: Captioner | None = None
        self._silence_is_known = False

    @property
    def trains(self) -> tuple[str, ...]:
        """All but the output layers."""
        return ("features", "time_embedding", "attention_scores")

    def initialise(self, backbone: Backbone) -> None:
        """Read the captions, so that a wrong file is reported before anything is trained."""
        if self.captions is not None:
            self._table = read_captions(self.captions)

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """One pass; see `Strategy.forward`."""
        tokens = with_expression(self.text_encoder(self.sentences(batch)), batch)
        conditioning = Conditioning(tokens, constant_timestep(latents, self.timestep))
        features = backbone.extract(latents, conditioning, self.attention)
        return [Branch(append(features, self.attention, self.detach_attention), "caption")]

    def sentences(self, batch: Batch) -> list[str]:
        """A caption an image.

        Raises:
            DataError: see `read_captions`.
            WeightsError: the captioner cannot be loaded.
        """
        found = [self._given(batch, i) for i in range(len(batch))]
        without = [i for i, sentence in enumerate(found) if not sentence]
        if without and self.captioner is not None:
            if self._writer is None:
                self._writer = load_captioner(self.captioner, "strategy.captioner")
            for i, sentence in zip(without, self._writer(batch.image[without]), strict=True):
                found[i] = sentence
        elif without and not self._silence_is_known:
            self._silence_is_known = True
            name = (batch.meta[without[0]].path if batch.meta else "") or "the image"
            log.warning(
                "strategy=tadp: %s has no caption, the empty sentence stands in (said once). Captions come from the data "
                "set, strategy.captions=file.json, strategy.captioner=model, or caption=... in prediction.",
                name,
            )
        return found

    def _given(self, batch: Batch, i: int) -> str:
        """The caption that stands in the file or else in the batch; empty where there is none."""
        path = batch.meta[i].path if batch.meta else ""  # of a data set; a photograph to predict has none
        if self.captions is not None and path:
            if self._table is None:  # a checkpoint was loaded
                self._table = read_captions(self.captions)
            sentence = caption_of(self._table, path)
            if sentence:
                return sentence
        return batch.caption[i].strip() if batch.caption is not None else ""


def read_captions(path: str) -> dict[str, str]:
    """The captions of a file ``{"image.jpg": "a sentence", ...}``.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    try:
        content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"strategy.captions: {path} cannot be read as json ({type(error).__name__}); scripts/caption_images.py writes "
            "such a file."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f'strategy.captions: {path} must hold {{"image.jpg": "a sentence", ...}}.')
    wrong = next((name for name, sentence in content.items() if not isinstance(sentence, str)), None)
    if wrong is not None:
        raise DataError(f"strategy.captions: {path}: '{wrong}' has no sentence but {content[wrong]!r}.")
    return {PurePath(name).as_posix(): sentence.strip() for name, sentence in content.items()}


def caption_of(captions: Mapping[str, str], path: str) -> str | None:
    """The caption whose key is the longest end of a path, in whole names of folders and file; None if there is none."""
    rest = PurePath(path).as_posix()
    while rest not in captions:
        _, slash, rest = rest.partition("/")
        if not slash:
            return None
    return captions[rest]
