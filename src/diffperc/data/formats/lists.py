"""Lists of frames, and folders of files that belong together."""

from __future__ import annotations

from pathlib import Path

from diffperc.data.diagnostics import Diagnostics
from diffperc.errors import DataError
from diffperc.files.read import check_root, read_text


def pair_files(
    images: Path, image_suffix: str, targets: Path, target_suffix: str, diagnostics: Diagnostics
) -> list[tuple[Path, Path]]:
    """Images and ground truth of the same name, sorted by name; folders are searched to any depth.

    Args:
        images: folder of the images.
        targets: folder of the ground truth.
        image_suffix: the end of an image's file name, such as ``.jpg``; the part before it is the name.
        target_suffix: the same of a file of ground truth.
        diagnostics: collects files without a counterpart.

    Raises:
        DataError: a folder is missing or empty.
    """
    image_of, target_of = _by_name(images, image_suffix), _by_name(targets, target_suffix)
    pairs = []
    for name in sorted(image_of | target_of):
        image, target = image_of.get(name), target_of.get(name)
        if image is not None and target is not None:
            pairs.append((image, target))
            continue
        lacking = images / f"{name}{image_suffix}" if image is None else targets / f"{name}{target_suffix}"
        diagnostics.problem(
            f"{image or target}: there is no '{lacking}' to go with it. Complete the folder, or remove this file."
        )
    return pairs


def _by_name(folder: Path, suffix: str) -> dict[str, Path]:
    files = {str(p.relative_to(folder)).removesuffix(suffix): p for p in folder.rglob(f"*{suffix}")}
    if not files:
        raise DataError(f"There is no file *{suffix} in {folder}. Complete the data set, or correct dataset.root.")
    return files


def read_list(
    dataset: str, root: Path, name: str, holds: str, names: str, diagnostics: Diagnostics
) -> list[tuple[str, list[str]]]:
    """The words of each line of a list of frames, each with its place for messages; empty lines are skipped.

    Args:
        dataset: the name of the data set's class.
        root: the data set's folder.
        name: the file name of the list.
        holds: what the folder should hold.
        names: what the list names.
        diagnostics: collects frames that the list names twice.

    Raises:
        DataError: there is no such folder or list, or the list is empty.
    """
    check_root(dataset, root, holds)
    file = root / name
    if not file.is_file():
        raise DataError(f"{dataset}: no list '{name}' in {root}; it names {names} of each frame.")
    line_of: dict[str, int] = {}
    found = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        where = f"{file}, line {number}"
        first = line_of.setdefault(words[0], number)
        if first == number:
            found.append((where, words))
        else:
            diagnostics.problem(f"{where}: names '{words[0]}' again, after line {first}. Remove one of them.")
    if not found:
        raise DataError(f"{file}: names no frame.")
    return found
