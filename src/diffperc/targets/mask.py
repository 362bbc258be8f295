"""A class id for every pixel."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from diffperc.errors import ConfigError, DataError
from diffperc.files.headers import read_ids
from diffperc.files.images import read_mask
from diffperc.files.read import read_text
from diffperc.types import DatasetInfo, DenseTarget, FolderOptions, FolderReader, Panel, Sample, Statistics
from diffperc.visualization.colours import class_colours
from diffperc.visualization.overlays import legend_of, overlay

_IDS = 256
_IGNORED = 255
_LOOKED_AT = 100  # masks
_MUCH = 0.1
"""The share of all pixels above which an id that is not counted is worth a note."""


class MaskTarget(DenseTarget):
    """(H, W) uint8 class ids; 255 is not counted."""

    name = "mask"
    dims = "B h w"
    folder, column = "masks", "mask"
    rendered = True
    counted = "class"
    padding = _IGNORED

    def from_scene(self, rendered: Any) -> NDArray[np.uint8]:
        mask: NDArray[np.uint8] = rendered.mask
        return mask

    def folder_reader(self, options: FolderOptions) -> FolderReader:
        missing = options.root / "classes.yaml"
        if options.classes is None and not missing.is_file():
            return _drafted(missing, options)
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

    def statistics(self, sample: Sample, info: DatasetInfo) -> Statistics:
        mask = sample.targets[self.name]
        counts = np.bincount(mask.reshape(-1), minlength=_IDS)
        if not sample.files:
            return Statistics(counts=counts)
        ids, colours = read_ids(sample.files[1])
        not_counted = np.bincount(ids[mask == _IGNORED], minlength=_IDS)
        ignored = {int(i): int(not_counted[i]) for i in np.flatnonzero(not_counted)}
        return Statistics(counts=counts, ignored=ignored, colours=colours)

    def counted_names(self, info: DatasetInfo) -> tuple[str, ...]:
        return info.classes

    def problems(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        occurs = summary.counts[: len(info.classes)] > 0
        if not occurs.any():
            return [f"{split}: no pixel is counted, all ids are among the ignored ones{_as_class(summary.ignored)}."]
        if occurs.sum() > 1 or len(occurs) < 2 or not summary.complete or not split.startswith("train"):
            return []
        (only,) = itertools.compress(info.classes, occurs)
        return [
            f"{split}: of {len(info.classes)} classes only '{only}' occurs, so that there is nothing to learn"
            f"{_as_class(summary.ignored)}."
        ]

    def notes(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        notes = []
        occurs = summary.counts[: len(info.classes)] > 0
        absent = list(itertools.compress(info.classes, ~occurs))
        if absent:
            notes.append(
                f"{split}: {len(absent)} of {len(info.classes)} classes do not occur: {', '.join(absent[:8])}."
            )
        total = int(summary.counts.sum())
        for number, pixels in summary.ignored.items():
            if pixels > _MUCH * total:
                notes.append(
                    f"{split}: id {number} is not counted and covers {pixels / total:.0%} of all pixels"
                    f"{_as_class({number: pixels})}."
                )
        for number, files in summary.colours.items():
            if len(files) > 1:
                (first, one), (second, other) = list(files.items())[:2]
                notes.append(
                    f"{split}: id {number} has the colour {first} in {one} and {second} in {other}; the palettes differ, so "
                    "that an id may stand for different classes. Write all masks with the same ids."
                )
        return notes

    def panel(self, sample: Sample, info: DatasetInfo) -> Panel:
        mask = sample.targets[self.name]
        legend = legend_of(info.classes, mask)
        picture = overlay(sample.image, mask, class_colours(len(info.classes)))
        return Panel(f"{len(legend)} classes", picture, legend)


def _as_class(ignored: Mapping[int, int]) -> str:
    """A clause: what to do if the most frequent of the ids that are not counted is a class after all."""
    if not ignored:
        return ""
    number = max(ignored, key=lambda found: ignored[found])
    return (
        f"; if {number}, which is not counted, is a class, name the classes by their ids in classes.yaml, as in "
        f"{{0: background, {number}: thing}}, and take it out of dataset.ignore, as in dataset.ignore=[]"
    )


def _drafted(missing: Path, options: FolderOptions) -> FolderReader:
    """Classes named after the ids that some of the masks hold, and the sentence that asks for their real names."""
    pixels = np.zeros(_IDS, np.int64)
    for file in options.files[:: max(1, len(options.files) // _LOOKED_AT)]:
        with contextlib.suppress(DataError):
            pixels += np.bincount(read_mask(file, _IDS).reshape(-1), minlength=_IDS)
    found = np.flatnonzero(pixels).tolist()
    classes = {i: f"id {i}" for i in found if i not in options.ignore}
    shares = ", ".join(f"{i} ({pixels[i] / pixels.sum():.1%})" for i in found)
    held = f" They hold the ids {shares}." if found else ""
    problem = (
        f"Folder: there is no file '{missing}'. It names the classes, in the order of their ids in the masks (- road), or "
        f"by id (7: road); write it, or set dataset.classes=[road,sky].{held}"
    )
    read = partial(read_mask, classes={i: n for n, i in enumerate(classes)}, ignore=options.ignore)
    draft = "".join(f'{i}: "{name}"\n' for i, name in classes.items())
    return FolderReader(
        read, tuple(classes.values()), problem, f"# replace each text by the name of the class\n{draft}"
    )


def _names_by_id(options: FolderOptions) -> dict[int, str]:
    """Names of the classes by their id in the files, in the order of the ids."""
    where, given = "dataset.classes", options.classes
    if given is None or isinstance(given, str):
        file = options.root / (given or "classes.yaml")
        where, given = str(file), _read_classes(file)
    by_id = dict(enumerate(given)) if isinstance(given, list | tuple) else given
    problem = _wrong_classes(by_id, options.ignore)
    if problem:
        raise ConfigError(
            f"{where}: {problem}. Give a list of different names in the order of their ids, as in [road, sky], or names by "
            "id, as in {0: road, 7: sky}."
        )
    return {int(number): name for number, name in sorted(by_id.items(), key=lambda item: int(item[0]))}


def _wrong_classes(by_id: Any, ignore: Sequence[int]) -> str | None:
    """What is wrong with names by id, as a clause."""
    if not by_id:
        return "names no class"
    if not isinstance(by_id, Mapping):
        return "holds a single value, not a list"
    named: dict[str, int] = {}
    numbers: set[int] = set()
    for key, name in by_id.items():
        if not str(key).isdigit() or int(key) >= _IDS:
            return f"has the id {key!r}; ids are whole numbers from 0 to 255"
        number = int(key)
        if number in numbers:
            return f"names the id {number} twice"
        if number in ignore:
            rest = ",".join(str(i) for i in ignore if i != number)
            return (
                f"names the id {number}, which is not counted because it is in dataset.ignore; if it is a class, set "
                f"dataset.ignore=[{rest}]"
            )
        if not isinstance(name, str) or not name.strip():
            shown = f" ({name!r})" if isinstance(name, str | int | float) else ""
            return f"gives the id {number} no name{shown}; in yaml a word such as yes or 7 needs quotes"
        if name in named:
            return f"has the name {name!r} for the ids {named[name]} and {number}"
        named[name] = number
        numbers.add(number)
    return None


def _read_classes(file: Path) -> Any:
    if not file.is_file():
        raise DataError(
            f"Folder: there is no file '{file}'. It names the classes, in the order of their ids in the masks "
            "(- road), or by id (7: road); write it, or set dataset.classes=[road,sky]."
        )
    text = read_text(file)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        content = loader.construct_document(node) if node is not None else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DataError(
            f"{file}: cannot be read as yaml ({reason}{f', line {place.line + 1}' if place else ''})."
        ) from error
    # of equal keys yaml would take the last
    keys = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise DataError(f"{file}: names the id {twice} twice.")
    return content
