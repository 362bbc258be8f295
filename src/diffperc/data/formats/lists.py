"""Text files, lists of frames, and folders of files."""

from __future__ import annotations

import os
from pathlib import Path

from diffperc.data.diagnostics import Diagnostics
from diffperc.errors import DataError


def read_text(path: Path) -> str:
    """A text file in UTF-8, without the mark that some editors put before it.

    Raises:
        DataError: missing, no file, or in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not a text in UTF-8; save it as such.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def check_root(dataset: str, root: Path, holds: str) -> None:
    """A data set's folder must be there.

    Args:
        dataset: as its class is called.
        holds: what the folder should hold.

    Raises:
        DataError: it is not.
    """
    if not root.is_dir():
        raise DataError(
            f"{dataset}: there is no folder '{root}'. Set dataset.root=/path/to/{dataset.lower()}, the folder that holds "
            f"{holds}."
        )


def pair_files(
    images: Path, image_suffix: str, targets: Path, target_suffix: str, diagnostics: Diagnostics
) -> list[tuple[Path, Path]]:
    """Images and ground truth of the same name, in the order of their names; folders are searched to any depth.

    Args:
        images, targets: the folders.
        image_suffix, target_suffix: what a file's name ends in, such as ``.jpg``; what comes before it is the name.

    Raises:
        DataError: a folder is missing or empty, or a file has no counterpart.
    """
    image_of, target_of = _by_name(images, image_suffix), _by_name(targets, target_suffix)
    for name in sorted(image_of.keys() ^ target_of.keys()):
        have, lack = (
            (image_of[name], targets / f"{name}{target_suffix}")
            if name in image_of
            else (target_of[name], images / f"{name}{image_suffix}")
        )
        diagnostics.problem(f"{have}: there is no '{lack}' to go with it. Complete the folder, or remove this file.")
    return [(image_of[name], target_of[name]) for name in sorted(image_of.keys() & target_of.keys())]


def _by_name(folder: Path, suffix: str) -> dict[str, Path]:
    files = {str(p.relative_to(folder)).removesuffix(suffix): p for p in folder.rglob(f"*{suffix}")}
    if not files:
        raise DataError(f"There is no file *{suffix} in {folder}. Complete the data set, or correct dataset.root.")
    return files


def read_list(
    dataset: str, root: Path, name: str, holds: str, names: str, diagnostics: Diagnostics
) -> list[tuple[str, list[str]]]:
    """The words of each line of a list of frames, with where it stands, for messages; empty lines are left out.

    Args:
        dataset: as its class is called.
        root: the data set's folder.
        name: of the list in it.
        holds: what the folder should hold.
        names: what the list names.

    Raises:
        DataError: there is no such folder or list, the list is empty, or names a frame twice.
    """
    check_root(dataset, root, holds)
    file = root / name
    if not file.is_file():
        raise DataError(f"{dataset}: no list '{name}' in {root}; it names {names} of each frame.")
    first: dict[str, int] = {}
    found = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if words[0] in first:
            diagnostics.problem(
                f"{file}, line {number}: names '{words[0]}' again, after line {first[words[0]]}. Take one of them out."
            )
            continue
        first[words[0]] = number
        found.append((f"{file}, line {number}", words))
    if not found:
        raise DataError(f"{file}: names no frame.")
    return found


class Listing:
    """Which files there are: each folder is looked at once, as 100,000 single looks are slow on a network disk."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}

    def __contains__(self, path: Path) -> bool:
        folder, name = os.path.split(path)
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except OSError:  # no such folder: nothing in it
                self._names[folder] = frozenset()
        return name in self._names[folder]
