"""The object to which a sentence points."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffperc.files.images import read_region
from diffperc.types import DatasetInfo, DenseTarget, FolderOptions, FolderReader, Panel, Sample, Statistics
from diffperc.visualization.colours import TARGET
from diffperc.visualization.overlays import outlined

_SHARE = "referent, share of the image"


class ReferentTarget(DenseTarget):
    """(H, W) uint8, 1 on the object to which the expressions of the sample point."""

    name = "referent"
    sample = "expression"
    dims = "B h w"
    folder, column = "masks", "mask"
    padding = 255

    def folder_reader(self, options: FolderOptions) -> FolderReader:
        return FolderReader(read_region)

    def tensor(self, values: NDArray[Any]) -> Tensor:
        """(h, w) int64."""
        return torch.from_numpy(values.copy()).long()

    def labels(self, values: Tensor, sample: Sample, count: int) -> Tensor:
        """True only for the category of the referent."""
        labels = torch.zeros(count, dtype=torch.bool)
        if sample.category >= 0:
            labels[sample.category] = True
        return labels

    def statistics(self, sample: Sample, info: DatasetInfo) -> Statistics:
        words = [len(expression.split()) for expression in sample.expressions]
        return Statistics(
            {
                _SHARE: float(sample.targets[self.name].mean()),
                "expressions": len(words),
                "words per expression": float(np.mean(words)),
            }
        )

    def problems(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        if summary.share_above(_SHARE, 0):
            return []
        return [f"{split}: all expressions point to an empty mask; a mask is not 0 where the expression points."]

    def notes(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        empty = 1 - summary.share_above(_SHARE, 0)
        if not empty:
            return []
        return [f"{split}: {empty:.0%} of the expressions point to an empty mask."]

    def panel(self, sample: Sample, info: DatasetInfo) -> Panel:
        quoted = [f"“{expression}”" for expression in sample.expressions[:3]]
        picture = outlined(sample.image, sample.targets[self.name] > 0, TARGET)
        return Panel("referent", picture, caption="; ".join(quoted))
