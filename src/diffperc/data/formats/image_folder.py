"""What lies in a folder of one's own: images with truths of the same name, or tables that name both.

A table is a ``metadata.jsonl`` or ``metadata.csv`` beside the images, as Hugging Face's imagefolder has it, or for
expressions an ``expressions.jsonl``: one image a row, paths relative to the table's folder. See docs/own-data.md.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from diffperc.data.diagnostics import left_out, problem
from diffperc.data.formats.images import IMAGE_SUFFIXES, Listing, read_text
from diffperc.errors import DataError

_TABLES = ("metadata.jsonl", "metadata.csv")
_SENTENCES = ("expressions.jsonl",)


class Record(NamedTuple):
    """An image with its truth.

    Attributes:
        name: the image's path below the folder of images.
        image, truth: files.
        expressions: sentences that name what the truth shows.
        caption, scene, category: of the table; None if it has none.
        where: the line of the table, for messages.
    """

    name: str
    image: Path
    truth: Path
    expressions: tuple[str, ...] = ()
    caption: str | None = None
    scene: str | None = None
    category: str | None = None
    where: str = ""


class _Row(NamedTuple):
    values: dict[str, Any]
    where: str  # with a colon and a space behind it; empty for an image that no table names
    base: Path  # its paths begin here


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
        DataError: there are none, one is missing, or it is not clear which truth an image has.
    """
    images, truths = image_folder(root), root / folder
    tables = (_tables(root, _SENTENCES) if sentences else []) or _tables(root, _TABLES)
    lying = _files(images, IMAGE_SUFFIXES) if images != root else []
    rows = [row for table in tables for row in _rows(table)]
    if not tables:
        rows = [_Row({"file_name": file.relative_to(images).as_posix()}, "", images) for file in lying]
    if not rows:
        raise DataError(_nothing(root, tables, sentences))
    of_name = _by_stem(truths, suffixes)
    listing, found = Listing(), []
    seen: dict[str, Path] = {}
    for row in rows:
        image = _either(row.values["file_name"], row.base, images, listing)
        name = _name(image, images, root)
        given = row.values.get(f"{truth}_file_name") or row.values.get(truth)
        if image not in listing:
            problem(f"{row.where}there is no image '{image}'. Add it, or take the line out.")
            continue
        stem = str(PurePosixPath(name).with_suffix(""))
        file = _either(str(given), row.base, truths, listing) if given else of_name.get(stem)
        key = name if given else stem
        if key in seen and not sentences:
            problem(f"{row.where}{image} and {seen[key]} are one image, or have one truth. Take one of them out.")
        elif file is None:
            endings = " or ".join(suffixes)
            problem(
                f"{row.where}{image}: there is no '{truths / stem}' with the ending {endings}. Add it, or remove the image."
            )
        elif file not in listing:
            problem(f"{row.where}there is no {truth} '{file}'. Add it, or take the line out.")
        else:
            found.append(_record(row, name, image, file))
        seen.setdefault(key, image)
    used = {file for record in found for file in (record.image, record.truth)}
    # a mask beside those of expressions may be another task's
    lying_about = [*([] if sentences else of_name.values()), *(lying if tables else ())]
    unused = [file for file in lying_about if file not in used and _stem(file, truths) not in seen]
    left_out(
        [f"{file}: goes with no other file of this name, or no table names it; it is not used." for file in unused]
    )
    return sorted(found, key=lambda record: (record.name, str(record.truth)))


def _nothing(root: Path, tables: Sequence[Path], sentences: bool) -> str:
    if tables:
        return f"{tables[0]}: names no image that can be used."
    wanted = ", ".join(_SENTENCES if sentences else _TABLES)
    return f"Folder: there is neither a folder 'images' with images in {root} nor a table ({wanted})."


def captioned_images(root: Path) -> list[tuple[Path, str]]:
    """Images of a folder whose tables have a caption for them; those without one are left out.

    Raises:
        DataError: there is no such folder or image, or an image is missing.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder.")
    found, listing = [], Listing()
    for row in (row for table in _tables(root, _TABLES) for row in _rows(table)):
        image, said = row.base / row.values["file_name"], _texts(row, "caption", "captions", "text")
        if said and image not in listing:
            problem(f"{row.where}there is no image '{image}'. Add it, or take the line out.")
        elif said:
            found.append((image, said[0]))
    if not found:
        raise DataError(f"{root}: no {' or '.join(_TABLES)} with captions of images is in it.")
    return found


def _tables(root: Path, names: Sequence[str]) -> list[Path]:
    """In the root, in the folder of images, and in the folders directly in these; hidden ones are not looked into."""
    tops = dict.fromkeys((root, image_folder(root)))
    inner = [p for top in tops if top.is_dir() for p in sorted(top.iterdir()) if p.is_dir() and p.name[0] != "."]
    return [f for place in dict.fromkeys((*tops, *inner)) for name in names if (f := place / name).is_file()]


def _rows(table: Path) -> Iterator[_Row]:
    text = read_text(table)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        lines: list[Any] = list(reader) if table.suffix == ".csv" else text.splitlines()
    except csv.Error as error:
        raise DataError(f"{table}: cannot be read as a table ({error}).") from error
    if table.suffix == ".csv" and "file_name" not in (reader.fieldnames or ()):
        problem(f"{table}: has no column 'file_name' but {', '.join(map(str, reader.fieldnames or ['none']))}.")
        return
    for number, line in enumerate(lines, 2 if table.suffix == ".csv" else 1):
        where = f"{table}, line {number}: "
        if isinstance(line, str) and not line.strip():
            continue
        try:
            values = json.loads(line) if isinstance(line, str) else line
        except ValueError as error:
            problem(f"{where}is not valid json ({error}).")
            continue
        if (
            not isinstance(values, dict)
            or not isinstance(values.get("file_name"), str)
            or values["file_name"] in ("", ".")
        ):
            problem(f"{where}names no image under 'file_name'.")
            continue
        yield _Row(values, where, table.parent)


def _record(row: _Row, name: str, image: Path, truth: Path) -> Record:
    captions = [*_texts(row, "caption", "captions", "text"), None]
    scene, category = ([*_texts(row, key), None][0] for key in ("scene", "category"))
    sentences = _texts(row, "expression", "expressions")
    return Record(name, image, truth, sentences, captions[0], scene, category, row.where)


def _texts(row: _Row, *keys: str) -> tuple[str, ...]:
    """The sentence or sentences under the first of the keys that has any."""
    key = next((key for key in keys if row.values.get(key)), None)
    if key is None:
        return ()
    said = row.values[key]
    sentences = [said] if isinstance(said, str) else said
    if not isinstance(sentences, list) or not all(isinstance(s, str) for s in sentences):
        problem(f"{row.where}'{key}' must be a text or a list of texts, found {said!r}.")
        return ()
    return tuple(s.strip() for s in sentences if s.strip())


def _either(name: str, first: Path, second: Path, listing: Listing) -> Path:
    """The file of a name below the folder where there is one; below the first where there is none."""
    chosen = second / name if first / name not in listing and second / name in listing else first / name
    return Path(os.path.normpath(chosen))


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files to any depth, through links too; hidden ones, such as macOS's ``._1.jpg``, are none."""
    found, been = [], set()
    for place, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in been:  # a link to a folder above
            inner.clear()
            continue
        been.add(real)
        inner[:] = [name for name in inner if name[0] != "."]
        found += [Path(place, name) for name in names if name[0] != "." and Path(name).suffix.lower() in suffixes]
    return sorted(found)


def _by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in _files(folder, suffixes):
        first = found.setdefault(_stem(file, folder), file)
        if first != file:
            problem(f"{file}: {first.name} lies beside it, and an image has one truth. Remove one of them.")
    return found


def _stem(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix() if file.is_relative_to(folder) else str(file)


def _name(image: Path, images: Path, root: Path) -> str:
    for base in (images, root):
        base = Path(os.path.normpath(base))
        if image.is_relative_to(base):
            return image.relative_to(base).as_posix()
    return image.as_posix()
