"""One frozen text vector per name: VPD's conditioning for depth and segmentation (methods.md 1.1, 1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.encoders import imagenet_templates, name_embeddings
from diffperc.errors import ConfigError, WeightsError
from diffperc.weights.read import read_file

Templates = str | Sequence[str]


class TextTable(nn.Module):
    """A table (K, D) of text vectors, kept as a buffer so that a checkpoint needs no text encoder.

    Args:
        names: one per row.
        width: D.

    Raises:
        ConfigError: there are no names.
    """

    vectors: Tensor

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__()
        if not names:
            raise ConfigError(
                "strategy: this one makes its text from the data set's scene labels or class names, and the data set has "
                "none. Use strategy=meta_prompts or strategy=unconditional, or list the labels in `dataset.scenes`."
            )
        self.names = tuple(names)
        self.register_buffer("vectors", torch.zeros(len(self.names), width))

    def fill(self, backbone: Backbone, templates: Templates, path: str | None = None) -> None:
        """Compute the vectors with the backbone's text encoder, or read them from a file.

        Args:
            backbone: gives the text encoder.
            templates: sentences with one ``{}`` for the name, whose vectors are averaged; or ``imagenet``, CLIP's 80.
            path: a file with one tensor (K, D), loaded without running code; None computes the vectors.

        Raises:
            ConfigError: a template does not hold exactly one ``{}``.
            WeightsError: the file cannot be read or holds something else.
        """
        if path is None:
            sentences = _sentences(templates)
            self.vectors.copy_(name_embeddings(backbone.text_encoder(), self.names, sentences))
            return
        try:
            table = read_file(Path(path).expanduser())
        except WeightsError as error:
            raise WeightsError(f"strategy.class_embeddings: {error}") from error
        found = tuple(table.shape) if isinstance(table, Tensor) else type(table).__name__
        if found != tuple(self.vectors.shape):
            raise WeightsError(
                f"strategy.class_embeddings: {path} must hold a tensor {tuple(self.vectors.shape)}, found {found}."
            )
        self.vectors.copy_(table)

    def one(self, index: Tensor | None, batch_size: int) -> Tensor:
        """Ids (B,) to tokens (B, 1, D); an unknown id (-1, or None for all images) gets the mean of the table."""
        mean = self.vectors.mean(0, keepdim=True)
        if index is None:
            return mean.expand(batch_size, 1, -1)
        # row -1 is the mean
        return torch.cat([self.vectors, mean])[index][:, None]

    def present(self, labels: Tensor) -> Tensor:
        """Labels (B, K) to tokens (B, K, D); the rows of names that do not occur are zero (methods.md 3)."""
        return self.vectors * labels[..., None].to(self.vectors.dtype)


def _sentences(templates: Templates) -> Sequence[str]:
    if templates == "imagenet":
        return imagenet_templates()
    sentences = [templates] if isinstance(templates, str) else list(templates)
    for sentence in sentences or [""]:
        if sentence.count("{}") != 1:
            raise ConfigError(
                f"strategy.templates: each must contain one {{}} for the name, found '{sentence}'; or write imagenet."
            )
    return sentences
