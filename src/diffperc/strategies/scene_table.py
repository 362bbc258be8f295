"""One frozen text vector a scene label: VPD's conditioning for depth (methods.md 1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.errors import ConfigError, WeightsError
from diffperc.text import name_embeddings
from diffperc.types import DatasetInfo


class SceneTable(nn.Module):
    """A table (scenes, D) of text vectors, kept as a buffer so that a checkpoint needs no text encoder.

    Args:
        info: of the data set, whose scene labels name the rows.
        width: D.

    Raises:
        ConfigError: the data set has no scene labels.
    """

    vectors: Tensor

    def __init__(self, info: DatasetInfo, width: int) -> None:
        super().__init__()
        if not info.scenes:
            raise ConfigError(
                f"strategy: this one conditions depth on scene labels, and the data set '{info.name}' has none. "
                "Use strategy=meta_prompts or strategy=unconditional, or name the scenes in the data set's `scenes`."
            )
        self.names = info.scenes
        self.register_buffer("vectors", torch.zeros(len(info.scenes), width))

    def fill(self, backbone: Backbone, templates: Sequence[str], path: str | None = None) -> None:
        """Compute the vectors with the backbone's text encoder, or read them from a file.

        Args:
            templates: sentences with one ``{}``, averaged over.
            path: a file with one tensor (scenes, D), loaded without running code; None computes.

        Raises:
            WeightsError: the file holds something else.
        """
        if path is None:
            self.vectors.copy_(name_embeddings(backbone.text_encoder(), self.names, templates))
            return
        try:
            table = torch.load(Path(path).expanduser(), weights_only=True, map_location="cpu")
        except Exception as error:  # torch raises many kinds for a bad file
            raise WeightsError(f"strategy.class_embeddings: {path} cannot be read ({type(error).__name__}).") from error
        if not isinstance(table, Tensor) or table.shape != self.vectors.shape:
            found = tuple(table.shape) if isinstance(table, Tensor) else type(table).__name__
            raise WeightsError(
                f"strategy.class_embeddings: {path} must hold a tensor {tuple(self.vectors.shape)}, found {found}."
            )
        self.vectors.copy_(table)

    def forward(self, scene: Tensor | None, batch_size: int) -> Tensor:
        """Labels (B,) to tokens (B, 1, D); where the label is unknown (-1, or None for all), the mean of the table."""
        mean = self.vectors.mean(0, keepdim=True)
        if scene is None:
            return mean.expand(batch_size, 1, -1)
        # row -1 is the mean
        return torch.cat([self.vectors, mean])[scene][:, None]
