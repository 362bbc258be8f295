"""What lies in a folder of one's own: images with truths of the same name, or tables that name both.

A table is a ``metadata.jsonl`` or ``metadata.csv`` beside the images, as Hugging Face's imagefolder has it, or for
expressions an ``expressions.jsonl``: one image a row, paths relative to the table's folder. See docs/own-data.md.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from diffperc.data.findings import left_out, problem
from diffperc.data.io import IMAGE_SUFFIXES, Listing
from diffperc.errors import DataError

_TABLES = ("metadata.jsonl", "metadata.csv")
_SENTENCES = ("expressions.jsonl",)
_TRAIN = ("train", "training")
_VAL = ("val", "valid", "validation", "dev", "test")


class Record(NamedTuple):
    """An image with its truth.

    Attributes:
        name: the image's path below the folder of images.
        image, truth: files.
        expressions: sentences that name what the truth shows.
        caption, scene, category: of the table; None if it has none.
    """

    name: str
    image: Path
    truth: Path
    expressions: tuple[str, ...] = ()
    caption: str | None = None
    scene: str | None = None
    category: str | None = None


def image_folder(root: Path) -> Path:
    """``images`` in the root, or the root itself."""
    return root / "images" if (root / "images").is_dir() else root


def read_records(root: Path, truth: str, folder: str, suffixes: Sequence[str], sentences: bool) -> list[Record]:
    """Images with truths, by name.

    Args:
        truth: what a table calls it, such as ``mask``: a column ``mask_file_name`` or ``mask``.
        folder: in the root, with truths of the images' names, for images whose row names none.
        suffixes: of such files.
        sentences: whether expressions are asked for; then tables of them come before others.

    Raises:
        DataError: there are none, one is missing, or an image stands in a table twice.
    """
    images, truths = image_folder(root), root / folder
    tables = (_named(root, _SENTENCES) if sentences else []) or _named(root, _TABLES)
    rows = [row for table in tables for row in _rows(table)]
    if not rows and images != root:
        rows = [({"file_name": str(file.relative_to(images))}, "", images) for file in _files(images)]
    if not rows:
        raise DataError(
            f"Folder: there is neither a folder 'images' with images in {root} nor a table "
            f"({', '.join(_SENTENCES if sentences else _TABLES)})."
        )
    of_name = {str(f.relative_to(truths).with_suffix("")): f for f in _files(truths, suffixes)}
    listing, found, used = Listing(), [], set()
    for row, where, base in rows:
        image = _either(str(row["file_name"]), base, images, listing)
        name = _name(image, images, root)
        given = row.get(f"{truth}_file_name") or row.get(truth)
        if image not in listing:
            problem(f"{where}there is no image '{image}'. Add it, or take the line out.")
            continue
        file = (
            _either(str(given), base, truths, listing)
            if given
            else of_name.get(str(PurePosixPath(name).with_suffix("")))
        )
        used.add(file)
        if file is None:
            lack = truths / PurePosixPath(name).with_suffix(suffixes[0])
            problem(f"{image}: there is no '{lack}' to go with it.")
        elif file not in listing:
            problem(f"{where}there is no {truth} '{file}'. Add it, or take the line out.")
        else:
            found.append(_record(row, name, image, file))
    unused = sorted(set(of_name.values()) - used)
    left_out([f"{file}: there is no image in {images} to go with it; it is left out." for file in unused])
    return sorted(found, key=lambda record: (record.name, str(record.truth)))


def _named(root: Path, names: Sequence[str]) -> list[Path]:
    return sorted(file for name in names for file in root.rglob(name))


def _either(name: str, first: Path, second: Path, listing: Listing) -> Path:
    """The file of a name below the folder where there is one; below the first where there is none."""
    return second / name if first / name not in listing and second / name in listing else first / name


def _record(row: dict[str, Any], name: str, image: Path, truth: Path) -> Record:
    captions = [*_texts(row, "caption", "captions", "text"), None]
    scene, category = row.get("scene") or None, row.get("category") or None
    return Record(name, image, truth, _texts(row, "expression", "expressions"), captions[0], scene, category)


def _texts(row: dict[str, Any], *keys: str) -> tuple[str, ...]:
    """The sentence or sentences under the first of the keys that has any."""
    said = next((row[key] for key in keys if row.get(key)), ())
    sentences = (said,) if isinstance(said, str) else tuple(map(str, said))
    return tuple(s.strip() for s in sentences if s.strip())


def _rows(table: Path) -> Iterator[tuple[dict[str, Any], str, Path]]:
    """Each row, where it stands (for messages), and the folder its paths begin at."""
    with table.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file) if table.suffix == ".csv" else file
        for number, line in enumerate(lines, 2 if table.suffix == ".csv" else 1):
            where = f"{table}, line {number}: "
            if isinstance(line, str) and not line.strip():
                continue
            try:
                row = json.loads(line) if isinstance(line, str) else line
            except ValueError as error:
                problem(f"{where}is not valid json ({error}).")
                continue
            if not isinstance(row, dict) or not row.get("file_name"):
                problem(f"{where}names no image under 'file_name'.")
                continue
            yield row, where, table.parent


def _files(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in suffixes) if folder.is_dir() else []


def _name(image: Path, images: Path, root: Path) -> str:
    for base in (images, root):
        if image.is_relative_to(base):
            return image.relative_to(base).as_posix()
    return image.name


def validation_names(names: Iterable[str], root: Path, val: float | str | None) -> set[str]:
    """Which of the images are for validation; all sentences and persons of an image go with it.

    Args:
        names: of the images, as `Record.name`.
        root: where a list is looked for.
        val: a fraction, drawn by name, so that images added later move no other; a list, one name a line, with or without
            ending; None: images below a folder called val, validation or test if there is one, else ``val.txt`` if there
            is one, else a tenth.

    Raises:
        DataError: the list is missing or names what there is not, or a split would be empty.
    """
    known = sorted(set(names))
    top = {PurePosixPath(name).parts[0] for name in known if len(PurePosixPath(name).parts) > 1}
    folder = next((v for v in _VAL if v in top), None)
    if val is None and folder is not None:
        chosen = {name for name in known if name.startswith(f"{folder}/")}
    elif isinstance(val, str) or (val is None and (root / "val.txt").is_file()):
        chosen = _listed(root / (val or "val.txt"), set(known))
    else:
        share = 0.1 if val is None else float(val or 0)
        if not 0 < share < 1:
            raise DataError(f"dataset.val: must be a fraction between 0 and 1, or a list of images, found {val}.")
        ranked = sorted(known, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        chosen = set(ranked[: max(1, round(share * len(known)))])
    if not chosen or len(chosen) == len(known):
        raise DataError(
            f"Folder: of {len(known)} images in {root}, {len(chosen)} are for validation, and both splits need some; set "
            "dataset.val to a fraction or a list."
        )
    return chosen


def training_names(names: Iterable[str], validation: set[str]) -> set[str]:
    """The other images; where some lie below a folder called train, those alone."""
    rest = set(names) - validation
    below = {name for name in rest if PurePosixPath(name).parts[0] in _TRAIN and "/" in name}
    return below or rest


def _listed(file: Path, known: Set[str]) -> set[str]:
    if not file.is_file():
        raise DataError(f"dataset.val: there is no list '{file}'.")
    bare = {str(PurePosixPath(name).with_suffix("")): name for name in known}
    chosen: dict[str, int] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        entry = line.strip()
        name = entry if entry in known else bare.get(entry)
        if entry and name is None:
            problem(f"{file}, line {number}: there is no image '{entry}' in the data set.")
        elif name is not None and name in chosen:
            problem(f"{file}, line {number}: names '{entry}' again, after line {chosen[name]}. Take one of them out.")
        elif name is not None:
            chosen[name] = number
    return set(chosen)


def captioned_images(root: Path) -> list[tuple[Path, str]]:
    """Images of a folder whose tables have a caption for them; those without one are left out.

    Raises:
        DataError: there is no such image, or an image is missing.
    """
    found, listing = [], Listing()
    for row, where, base in (row for table in _named(root, _TABLES) for row in _rows(table)):
        image, said = base / str(row["file_name"]), _texts(row, "caption", "captions", "text")
        if said and image not in listing:
            problem(f"{where}there is no image '{image}'. Add it, or take the line out.")
        elif said:
            found.append((image, said[0]))
    if not found:
        raise DataError(f"{root}: no {' or '.join(_TABLES)} with captions of images is in it.")
    return found
