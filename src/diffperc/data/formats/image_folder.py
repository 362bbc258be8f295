"""What a folder of one's own holds: images with ground truth of the same name, or tables that name both.

A table is a ``metadata.jsonl`` or ``metadata.csv`` beside the images, as Hugging Face's imagefolder has it, or for
expressions an ``expressions.jsonl``: one image per row, paths relative to the table's folder. See docs/own-data.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.images import IMAGE_SUFFIXES
from diffperc.data.formats.lists import Listing
from diffperc.data.formats.tables import SENTENCES, TABLES, Row, read_rows, tables_in, texts_of
from diffperc.errors import DataError
from diffperc.types import DenseTarget

_CAPTIONS = ("caption", "captions", "text")
_EXPRESSIONS = ("expression", "expressions")


class Record(NamedTuple):
    """An image with its ground truth.

    Attributes:
        name: the image's path below the folder of images.
        image, target: files.
        expressions: sentences that name what the target shows.
        caption, scene, category: of the table; None if it has none.
        where: the line of the table, for messages.
    """

    name: str
    image: Path
    target: Path
    expressions: tuple[str, ...] = ()
    caption: str | None = None
    scene: str | None = None
    category: str | None = None
    where: str = ""


def image_folder(root: Path) -> Path:
    """``images`` in the root, or the root itself."""
    return root / "images" if (root / "images").is_dir() else root


def read_records(root: Path, target: DenseTarget, diagnostics: Diagnostics = STOP) -> list[Record]:
    """Images with ground truth, by name.

    Args:
        root: the folder.
        target: its `folder` in the root holds files of the images' names, for images whose row names none; its `column` is
            what a table calls them. Where a sample is an expression, tables of expressions come before others.
        diagnostics: what is told of rows and files that do not fit.

    Raises:
        DataError: there are no images, or it is not clear which ground truth an image has.
    """
    return _Reading(root, target, diagnostics).records()


class _Reading:
    """One pass over the rows of a folder."""

    def __init__(self, root: Path, target: DenseTarget, diagnostics: Diagnostics) -> None:
        self.root, self.target, self.diagnostics = root, target, diagnostics
        self.images, self.targets = image_folder(root), root / target.folder
        self.per_expression = target.sample == "expression"
        self.listing = Listing()
        self.seen: dict[str, Path] = {}

    def records(self) -> list[Record]:
        """All of them, sorted; what is not used is reported."""
        tables = tables_in(self.root, self.images, SENTENCES) if self.per_expression else []
        tables = tables or tables_in(self.root, self.images, TABLES)
        present = _files(self.images, IMAGE_SUFFIXES) if self.images != self.root else []
        rows = self._rows(tables, present)
        self.of_stem = _by_stem(self.targets, self.target.suffixes, self.diagnostics)
        found = [record for row in rows if (record := self._record(row)) is not None]
        self._report_unused(found, present if tables else [])
        return sorted(found, key=lambda record: (record.name, str(record.target)))

    def _rows(self, tables: Sequence[Path], present: Sequence[Path]) -> list[Row]:
        rows: list[Row] = []
        for table in tables:
            rows += read_rows(table, self.diagnostics)
        if not tables:
            rows += [Row({"file_name": file.relative_to(self.images).as_posix()}, "", self.images) for file in present]
        if rows:
            return rows
        if tables:
            raise DataError(f"{tables[0]}: names no image that can be used.")
        wanted = ", ".join(SENTENCES if self.per_expression else TABLES)
        raise DataError(
            f"Folder: there is neither a folder 'images' with images in {self.root} nor a table ({wanted})."
        )

    def _record(self, row: Row) -> Record | None:
        image = self._either(row.values["file_name"], row.base, self.images)
        if image not in self.listing:
            self.diagnostics.problem(f"{row.where}there is no image '{image}'. Add it, or take the line out.")
            return None
        name = _name(image, self.images, self.root)
        stem = str(PurePosixPath(name).with_suffix(""))
        column = self.target.column
        given = row.values.get(f"{column}_file_name") or row.values.get(column)
        file = self._either(str(given), row.base, self.targets) if given else self.of_stem.get(stem)
        problem = self._problem(image, name if given else stem, file, stem)
        if problem is not None or file is None:
            self.diagnostics.problem(f"{row.where}{problem}")
            return None
        return self._described(row, name, image, file)

    def _problem(self, image: Path, key: str, file: Path | None, stem: str) -> str | None:
        """Why an image and its ground truth cannot be used; None if they can."""
        first = self.seen.get(key)
        self.seen.setdefault(key, image)
        if first is not None and not self.per_expression:
            return f"{image} and {first} are one image, or share one target. Take one of them out."
        if file is None:
            endings = " or ".join(self.target.suffixes)
            return (
                f"{image}: there is no '{self.targets / stem}' with the ending {endings}. Add it, or remove the image."
            )
        if file not in self.listing:
            return f"there is no {self.target.column} '{file}'. Add it, or take the line out."
        return None

    def _described(self, row: Row, name: str, image: Path, target: Path) -> Record:
        captions = texts_of(row, _CAPTIONS, self.diagnostics)
        scenes = texts_of(row, ("scene",), self.diagnostics)
        categories = texts_of(row, ("category",), self.diagnostics)
        return Record(
            name,
            image,
            target,
            texts_of(row, _EXPRESSIONS, self.diagnostics),
            captions[0] if captions else None,
            scenes[0] if scenes else None,
            categories[0] if categories else None,
            row.where,
        )

    def _either(self, name: str, first: Path, second: Path) -> Path:
        """The file of a name in the second folder where only that has it, else in the first."""
        only_second = first / name not in self.listing and second / name in self.listing
        return Path(os.path.normpath(second / name if only_second else first / name))

    def _report_unused(self, found: Sequence[Record], images: Sequence[Path]) -> None:
        used = set()
        for record in found:
            used |= {record.image, record.target}
        # a mask beside those of expressions may be another task's
        candidates = [*images] if self.per_expression else [*self.of_stem.values(), *images]
        unused = [file for file in candidates if file not in used and _stem(file, self.targets) not in self.seen]
        self.diagnostics.unused(
            [f"{file}: goes with no other file of this name, or no table names it; it is not used." for file in unused]
        )


def captioned_images(root: Path, diagnostics: Diagnostics = STOP) -> list[tuple[Path, str]]:
    """Images of a folder whose tables have a caption for them; those without one are left out.

    Raises:
        DataError: there is no such folder or image, or an image is missing.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder.")
    listing = Listing()
    found = []
    for table in tables_in(root, image_folder(root), TABLES):
        for row in read_rows(table, diagnostics):
            image = row.base / row.values["file_name"]
            captions = texts_of(row, _CAPTIONS, diagnostics)
            if not captions:
                continue
            if image not in listing:
                diagnostics.problem(f"{row.where}there is no image '{image}'. Add it, or take the line out.")
                continue
            found.append((image, captions[0]))
    if not found:
        raise DataError(f"{root}: no {' or '.join(TABLES)} with captions of images is in it.")
    return found


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files to any depth, through links too; hidden ones, such as macOS's ``._1.jpg``, are none."""
    found: list[Path] = []
    visited = set()
    for place, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in visited:  # a link to a folder above
            inner.clear()
            continue
        visited.add(real)
        inner[:] = [name for name in inner if name[0] != "."]
        for name in names:
            if name[0] != "." and Path(name).suffix.lower() in suffixes:
                found.append(Path(place, name))
    return sorted(found)


def _by_stem(folder: Path, suffixes: Sequence[str], diagnostics: Diagnostics) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in _files(folder, suffixes):
        first = found.setdefault(_stem(file, folder), file)
        if first != file:
            diagnostics.problem(f"{file}: {first.name} is beside it, and an image has one target. Remove one of them.")
    return found


def _stem(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix() if file.is_relative_to(folder) else str(file)


def _name(image: Path, images: Path, root: Path) -> str:
    for base in (images, root):
        normal = Path(os.path.normpath(base))
        if image.is_relative_to(normal):
            return image.relative_to(normal).as_posix()
    return image.as_posix()
