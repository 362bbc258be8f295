"""Which images of a folder of one's own are trained on, and which are for validation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Set
from pathlib import Path, PurePosixPath

from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.lists import read_text
from diffperc.errors import DataError

_TRAIN = ("train", "training")
_VAL = ("val", "valid", "validation", "dev", "test")
_SHARE = 0.1


def split_names(
    names: Iterable[str], root: Path, val: float | str | None, diagnostics: Diagnostics = STOP
) -> tuple[set[str], set[str]]:
    """Images for training and for validation; all sentences and persons of an image go with it.

    Args:
        names: of the images, as `Record.name`.
        root: where a list is looked for.
        val: a fraction, drawn by name, so that images added later move no other; a list, one name per line, with or without
            ending; None: by folders called train and val, validation or test, if there are such; else ``val.txt`` if there
            is one; else a tenth.
        diagnostics: what is told of names that the list has and the folder has not.

    Raises:
        DataError: the list is missing, or a split would be empty.
    """
    known = set(names)
    folder = _validation_folder(known) if val is None else None
    if folder is not None:
        train, chosen = _by_folders(known, folder, diagnostics)
    else:
        chosen = _chosen(known, root, val, diagnostics)
        train = known - chosen
    if not chosen or not train:
        raise DataError(
            f"Folder: of {len(known)} images in {root}, {len(train)} are for training and {len(chosen)} for validation, and "
            "both need some; add images, or set dataset.val to a fraction or a list."
        )
    return train, chosen


def _validation_folder(known: Set[str]) -> str | None:
    parts = {_part(name) for name in known}
    return next((folder for folder in _VAL if folder in parts), None)


def _by_folders(known: Set[str], folder: str, diagnostics: Diagnostics) -> tuple[set[str], set[str]]:
    chosen = {name for name in known if _part(name) == folder}
    # what is beside folders called train belongs to neither; a second folder such as test is not trained on
    has_train = any(_part(name) in _TRAIN for name in known)
    wanted = _TRAIN if has_train else (None,)
    train = {name for name in known if _part(name) in wanted}
    rest = sorted(known - chosen - train)
    diagnostics.unused(
        [f"{name}: is neither below a folder for training nor below '{folder}'; it is not used." for name in rest]
    )
    return train, chosen


def _chosen(known: Set[str], root: Path, val: float | str | None, diagnostics: Diagnostics) -> set[str]:
    if val is None:
        val = "val.txt" if (root / "val.txt").is_file() else _SHARE
    return _listed(root / val, known, diagnostics) if isinstance(val, str) else _drawn(known, val)


def _part(name: str) -> str | None:
    """The split that one of the folders above an image names."""
    folders = [part.lower() for part in PurePosixPath(name).parts[:-1]]
    return next((folder for folder in folders if folder in _TRAIN + _VAL), None)


def _drawn(known: Set[str], share: float) -> set[str]:
    if not 0 < share < 1:
        raise DataError(f"dataset.val: must be a fraction between 0 and 1, or a list of images, found {share}.")
    ranked = sorted(known, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return set(ranked[: max(1, math.floor(share * len(known) + 0.5))])


def _listed(file: Path, known: Set[str], diagnostics: Diagnostics) -> set[str]:
    if not file.is_file():
        raise DataError(f"dataset.val: there is no list '{file}'.")
    bare: dict[str, list[str]] = {}
    for name in known:
        bare.setdefault(str(PurePosixPath(name).with_suffix("")), []).append(name)
    chosen: dict[str, int] = {}
    for number, line in enumerate(read_text(file).splitlines(), 1):
        entry = line.strip()
        if not entry:
            continue
        short = entry.removeprefix("./").removeprefix("images/")
        found = [short] if short in known else bare.get(short, [])
        where = f"{file}, line {number}"
        if len(found) != 1:
            what = "there is no image" if not found else f"{len(found)} images are called"
            diagnostics.problem(f"{where}: {what} '{entry}' in the data set; write it as it is called below images/.")
        elif found[0] in chosen:
            diagnostics.problem(f"{where}: names '{entry}' again, after line {chosen[found[0]]}. Take one of them out.")
        else:
            chosen[found[0]] = number
    return set(chosen)
