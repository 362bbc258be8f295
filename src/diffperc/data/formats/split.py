"""Splitting a user's own folder into images for training and for validation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.errors import DataError
from diffperc.files.read import read_text

_TRAIN = ("train", "training")
_VAL = ("val", "valid", "validation", "dev", "test")
_SHARE = 0.1


@dataclass(frozen=True)
class Splitting:
    """How images are shared out to training and validation.

    Attributes:
        root: the folder of a list.
        val: a fraction, drawn by name, so that images added later move no others; or a list, one name per line, with or
            without suffix. None: folders called train and val, validation or test, if they exist; else ``val.txt`` if it
            exists; else a tenth.
        group_by: ``folder`` draws folders instead of single images where `val` is a fraction.
        diagnostics: collects names of the list that are not in the folder.
    """

    root: Path
    val: float | str | None = None
    group_by: Literal["folder"] | None = None
    diagnostics: Diagnostics = STOP

    def split(self, names: Iterable[str]) -> tuple[set[str], set[str]]:
        """Images for training and for validation; all sentences and persons of an image stay with it.

        Args:
            names: the images, as `Record.name`.

        Raises:
            DataError: the list is missing, or a split would be empty.
        """
        known = set(names)
        folder = _validation_folder(known) if self.val is None else None
        self._report_unread(folder)
        if folder is not None:
            train, chosen = _by_folders(known, folder, self.diagnostics)
        else:
            chosen = self._chosen(known)
            train = known - chosen
        if not chosen or not train:
            raise DataError(
                f"Folder: of {len(known)} images in {self.root}, {len(train)} are for training and {len(chosen)} for "
                "validation, and both need some; add images, or set dataset.val to a fraction or a list."
            )
        return train, chosen

    def _report_unread(self, folder: str | None) -> None:
        """Say which lists and options have no meaning beside what decides."""
        listed = self.val if isinstance(self.val, str) else None
        if self.val is None and folder is None and (self.root / "val.txt").is_file():
            listed = "val.txt"
        decides = listed or (f"the folder '{folder}'" if folder else "the fraction")
        for name in ("train.txt", "val.txt"):
            if name != listed and (self.root / name).is_file():
                self.diagnostics.unused(
                    [f"{self.root / name}: is not read; {decides} decides which images are for validation."]
                )
        if self.group_by and (folder or listed):
            raise DataError(
                f"dataset.group_by={self.group_by}: is not read, because {decides} decides which images are for "
                "validation; leave it out, or set dataset.val to a fraction."
            )

    def _chosen(self, known: Set[str]) -> set[str]:
        val = self.val
        if val is None:
            val = "val.txt" if (self.root / "val.txt").is_file() else _SHARE
        if isinstance(val, str):
            return _listed(self.root / val, known, self.diagnostics)
        if self.group_by == "folder":
            return _drawn_folders(known, val)
        return _drawn(known, val)


def _validation_folder(known: Set[str]) -> str | None:
    parts = set(map(_part, known))
    for folder in _VAL:
        if folder in parts:
            return folder
    return None


def _by_folders(known: Set[str], folder: str, diagnostics: Diagnostics) -> tuple[set[str], set[str]]:
    by_part: dict[str | None, set[str]] = {}
    for name in known:
        by_part.setdefault(_part(name), set()).add(name)
    nothing: set[str] = set()
    chosen = by_part[folder]
    train = nothing.union(*(by_part.get(part, nothing) for part in _TRAIN))
    if not train:  # beside folders called train, images that are in neither are not used
        train = by_part.get(None, nothing)
    unused = []
    for name in sorted(known - chosen - train):
        unused.append(f"{name}: is neither below a folder for training nor below '{folder}'; it is not used.")
    diagnostics.unused(unused)
    return train, chosen


def _part(name: str) -> str | None:
    """The first folder above an image that is called as a split, in lower case."""
    for folder in PurePosixPath(name.lower()).parts[:-1]:
        if folder in _TRAIN + _VAL:
            return folder
    return None


def _drawn(known: Set[str], share: float) -> set[str]:
    if not 0 < share < 1:
        raise DataError(f"dataset.val: must be a fraction between 0 and 1, or a list of images, found {share}.")
    return set(_ranked(known)[: _count(known, share)])


def _drawn_folders(known: Set[str], share: float) -> set[str]:
    """The images of whole folders, which are drawn until the share is reached; at least one folder is left."""
    by_folder: dict[str, set[str]] = {}
    for name in known:
        by_folder.setdefault(PurePosixPath(name).parent.as_posix(), set()).add(name)
    chosen: set[str] = set()
    for folder in _ranked(set(by_folder))[:-1]:
        if len(chosen) < _count(known, share):
            chosen |= by_folder[folder]
    if not chosen:
        raise DataError(
            f"dataset.group_by=folder: all {len(known)} images are in one folder; list those of val in val.txt."
        )
    return chosen


def _ranked(names: Set[str]) -> list[str]:
    """By a hash, so that a name keeps its rank among any others."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def _count(known: Set[str], share: float) -> int:
    return max(1, math.floor(share * len(known) + 0.5))


def _listed(file: Path, known: Set[str], diagnostics: Diagnostics) -> set[str]:
    if not file.is_file():
        raise DataError(f"dataset.val: there is no list '{file}'.")
    names_of: dict[str, list[str]] = {}
    for name in known:
        names_of.setdefault(_without_suffix(name), []).append(name)
    names_of |= {name: [name] for name in known}
    chosen: dict[str, int] = {}
    for number, line in enumerate(read_text(file).splitlines(), 1):
        entry = line.strip()
        if not entry:
            continue
        short = entry.removeprefix("./").removeprefix("images/")
        found = names_of.get(short, [])
        where = f"{file}, line {number}"
        if len(found) != 1:
            what = f"{len(found)} images are called" if found else "there is no image"
            diagnostics.problem(f"{where}: {what} '{entry}' in the data set; write it as it is called below images/.")
            continue
        first = chosen.setdefault(found[0], number)
        if first != number:
            diagnostics.problem(f"{where}: names '{entry}' again, after line {first}. Remove one of them.")
    return set(chosen)


def _without_suffix(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
