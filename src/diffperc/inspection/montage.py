"""Figures of samples with their ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from diffperc.data import PerceptionDataset
from diffperc.errors import DataError
from diffperc.types import DatasetInfo, Picture, Sample, Target
from diffperc.visualization.panels import panels, stacked


def sample_figure(sample: Sample, info: DatasetInfo, target: Target, split: str) -> Picture:
    """A sample of a split at a glance: the image, and its ground truth drawn over it."""
    panel = target.panel(sample, info)
    named = f"{split}: {Path(sample.path).name}"
    return panels([(named, sample.image), (panel.title, panel.picture)], title=panel.caption, legend=panel.legend)


def write_montage(sets: Mapping[str, PerceptionDataset], target: Target, count: int, file: Path) -> bool:
    """Write up to `count` samples, spread over the splits; returns False if none can be read."""
    rows = []
    for split, dataset in sets.items():
        shown = min(count // len(sets), len(dataset))
        for index in np.linspace(0, len(dataset) - 1, shown).round().astype(int):
            try:
                rows.append(sample_figure(dataset[int(index)], dataset.info, target, split))
            except DataError as error:
                rows.append(_without_truth(error.sentence, split))
    if rows:
        Image.fromarray(stacked(rows, columns=2)).save(file)
    return bool(rows)


def _without_truth(problem: str, split: str) -> Picture:
    """The place of a sample that cannot be read, with its problem."""
    empty = np.full((96, 96, 3), 60, np.uint8)
    return panels([(f"{split}: cannot be read", empty), ("", empty)], title=problem)
