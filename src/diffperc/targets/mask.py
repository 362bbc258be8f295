"""A class id for every pixel."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import Tensor

from diffperc.data.formats.images import read_mask
from diffperc.errors import ConfigError, DataError
from diffperc.types import DatasetInfo, DenseTarget, FolderOptions, FolderReader, Panel, Sample, Statistics
from diffperc.visualization.colours import class_colours
from diffperc.visualization.overlays import legend_of, overlay

_IDS = 256
_IGNORED = 255


class MaskTarget(DenseTarget):
    """(H, W) uint8 class ids; 255 is not counted."""

    name = "mask"
    dims = "B h w"
    folder, column = "masks", "mask"
    rendered = True
    counted = "class"

    def from_scene(self, rendered: Any) -> NDArray[np.uint8]:
        mask: NDArray[np.uint8] = rendered.mask
        return mask

    def folder_reader(self, options: FolderOptions) -> FolderReader:
        names = _names_by_id(options)
        class_of = {label: position for position, label in enumerate(names)}
        return FolderReader(partial(read_mask, classes=class_of, ignore=options.ignore), tuple(names.values()))

    def tensor(self, values: NDArray[Any]) -> Tensor:
        """(h, w) int64."""
        return torch.from_numpy(values.copy()).long()

    def labels(self, values: Tensor, sample: Sample, count: int) -> Tensor:
        ids = values.unique()
        labels = torch.zeros(count, dtype=torch.bool)
        labels[ids[ids < count]] = True
        return labels

    def statistics(self, sample: Sample) -> Statistics:
        return Statistics(counts=np.bincount(sample.targets[self.name].reshape(-1), minlength=_IDS))

    def counted_names(self, info: DatasetInfo) -> tuple[str, ...]:
        return info.classes

    def notes(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        if not summary.counts.any():
            return []
        occurs = summary.counts[: len(info.classes)] > 0
        absent = list(itertools.compress(info.classes, ~occurs))
        if not absent:
            return []
        listed = ", ".join(absent[:8])
        notes = [f"{split}: {len(absent)} of {len(info.classes)} classes do not occur: {listed}."]
        if not occurs.any():
            notes.append(f"{split}: no pixel is counted; all ids are among the ignored ones.")
        return notes

    def panel(self, sample: Sample, info: DatasetInfo) -> Panel:
        mask = sample.targets[self.name]
        legend = legend_of(info.classes, mask)
        picture = overlay(sample.image, mask, class_colours(len(info.classes)))
        return Panel(f"{len(legend)} classes", picture, legend)


def _names_by_id(options: FolderOptions) -> dict[int, str]:
    """Names of the classes by their id in the files, in the order of the ids."""
    where, given = "dataset.classes", options.classes
    if given is None or isinstance(given, str):
        file = options.root / (given or "classes.yaml")
        where, given = str(file), _read_classes(file)
    by_id = _by_id(given)
    allowed = set(range(_IGNORED)).difference(options.ignore)
    if not by_id or not allowed.issuperset(by_id) or not _are_names(list(by_id.values())):
        raise ConfigError(
            f"{where}: must be different names in the order of their ids, or names by id from 0 to 254, none of them among "
            f"dataset.ignore={list(options.ignore)}; in yaml a word such as yes needs quotes."
        )
    return dict(sorted(by_id.items()))


def _read_classes(file: Path) -> Any:
    if not file.is_file():
        raise DataError(
            f"Folder: there is no file '{file}'. It names the classes, in the order of their ids in the masks "
            "(- road), or by id (7: road); write it, or set dataset.classes=[road,sky]."
        )
    try:
        return OmegaConf.to_container(OmegaConf.load(file))
    except Exception as error:  # from yaml, OmegaConf, or decoding
        raise DataError(f"{file}: cannot be read as yaml ({str(error).splitlines()[0]}).") from error


def _by_id(given: Any) -> dict[int, Any]:
    """The entries by id; empty if an id is no whole number, or occurs twice (as 1 and "1")."""
    if isinstance(given, list | tuple):
        return dict(enumerate(given))
    if not isinstance(given, Mapping) or not all(map(str.isdigit, map(str, given))):
        return {}
    by_id = {int(label): name for label, name in given.items()}
    return by_id if len(by_id) == len(given) else {}


def _are_names(names: Sequence[Any]) -> bool:
    """Whether all are different texts that are not blank."""
    if not all(isinstance(name, str) for name in names):
        return False
    return all(map(str.strip, names)) and len(set(names)) == len(names)
