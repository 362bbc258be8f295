"""Reading a user's own folder: images with ground truth of the same name, or tables that name both.

A table is a ``metadata.jsonl`` or ``metadata.csv`` beside the images, as in Hugging Face's imagefolder, or for
expressions an ``expressions.jsonl``: one image per row, paths relative to the table's folder. See docs/own-data.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import filterfalse
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.tables import SENTENCES, TABLES, Columns, Row, read_rows, tables_in, texts_of
from diffperc.errors import DataError
from diffperc.files.images import IMAGE_SUFFIXES
from diffperc.files.read import Listing
from diffperc.types import DenseTarget

CAPTIONS = ("caption", "captions", "text")
# tables are shared by tasks
_GROUND_TRUTH = ("mask", "depth", "normals")
_EXPRESSIONS = ("expression", "expressions")


class Record(NamedTuple):
    """An image with its ground truth.

    Attributes:
        name: the image's path below the folder of images.
        image: file of the image.
        target: file of the ground truth.
        expressions: sentences that name what the target shows.
        caption: from the table; None if it has none.
        scene: from the table; None if it has none.
        category: from the table; None if it has none.
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


def read_records(
    root: Path, target: DenseTarget, diagnostics: Diagnostics = STOP, unused_columns: Sequence[str] = ()
) -> list[Record]:
    """Images with ground truth, by name.

    Args:
        root: the folder.
        target: its `folder` in the root holds files with the names of the images, for rows that name no file; its `column`
            is the table's column. Where a sample is an expression, tables of expressions come before others.
        diagnostics: collects rows and files that do not fit.
        unused_columns: of tables, which are there but not to be read.

    Raises:
        DataError: there are no images, or a table cannot be read.
    """
    return _Reading(root, target, diagnostics, unused_columns).records()


def table_columns(target: str = "", unused: Sequence[str] = ()) -> Columns:
    """The columns that a table of images may have.

    Args:
        target: the column of the ground truth.
        unused: see `Columns`.
    """
    names = dict.fromkeys((*filter(None, [target]), *_GROUND_TRUTH))
    files = [f"{name}_file_name" for name in names]
    return Columns([*names, *files, *CAPTIONS, *_EXPRESSIONS, "scene", "category"], unused)


class _Reading:
    """One pass over the rows of a folder."""

    def __init__(
        self, root: Path, target: DenseTarget, diagnostics: Diagnostics, unused_columns: Sequence[str]
    ) -> None:
        self.columns = table_columns(target.column, unused_columns)
        self.root, self.target, self.diagnostics = root, target, diagnostics
        self.images, self.targets = image_folder(root), root / target.folder
        self.per_expression = target.sample == "expression"
        self.listing = Listing()
        self.seen: dict[str, Path] = {}

    def records(self) -> list[Record]:
        """All of them, sorted; files that are not used are reported."""
        tables = self._tables()
        present: list[Path] = []
        if self.images != self.root:
            present = _files(self.images, IMAGE_SUFFIXES, "images", self.diagnostics)
        rows = self._rows_of_tables(tables) if tables else self._rows_of_files(present)
        self.of_stem = _by_stem(self.targets, self.target, self.diagnostics)
        found = list(filter(None, map(self._record, rows)))
        self._report_unused(found, present if tables else [])
        return sorted(found, key=lambda record: (record.name, str(record.target)))

    def _tables(self) -> list[Path]:
        if self.per_expression:
            tables = tables_in(self.root, self.images, SENTENCES)
            if tables:
                return tables
        return tables_in(self.root, self.images, TABLES)

    def _rows_of_tables(self, tables: Sequence[Path]) -> list[Row]:
        rows: list[Row] = []
        for table in tables:
            read = list(read_rows(table, self.diagnostics, self.columns))
            self._report_empty_cells(table, read)
            rows += read
        if not rows:
            raise DataError(f"{tables[0]}: names no image that can be used.")
        return rows

    def _report_empty_cells(self, table: Path, rows: Sequence[Row]) -> None:
        """Say where a table names the ground truth of some images and not of others."""
        keys = (self.target.column, f"{self.target.column}_file_name")
        empty = [row for row in rows if not any(row.values.get(key) for key in keys)]
        if empty and any(key in row.values for row in rows for key in keys):
            self.diagnostics.unused(
                [
                    f"{table}: {len(empty)} of {len(rows)} rows name no {self.target.column}, such as "
                    f"{empty[0].values['file_name']}; the file with the image's name is taken."
                ]
            )

    def _rows_of_files(self, images: Sequence[Path]) -> list[Row]:
        if not images:
            wanted = ", ".join(SENTENCES if self.per_expression else TABLES)
            raise DataError(
                f"Folder: there is neither a folder 'images' with images in {self.root} nor a table ({wanted})."
            )
        rows = []
        for image in images:
            values = {"file_name": image.relative_to(self.images).as_posix()}
            rows.append(Row(values, "", self.images))
        return rows

    def _record(self, row: Row) -> Record | None:
        image = self._either(row.values["file_name"], row.base, self.images)
        name = _name(image, self.images, self.root)
        file, key = self._target_of(row, name)
        first = self.seen.get(key)
        problem = None
        outside = [p for p in (image, file) if p is not None and not p.is_relative_to(os.path.normpath(self.root))]
        if outside:
            problem = f"names '{outside[0]}', which is outside of {self.root}. Move such files there, or make a link."
        elif image not in self.listing:
            problem = f"there is no image '{image}'. Add it, or remove the line."
        elif first is not None and not self.per_expression:
            problem = f"{image} and {first} are one image, or share one target. Remove one of them."
        elif file is None:
            suffixes = " or ".join(self.target.suffixes)
            problem = (
                f"{image}: there is no '{self.targets / key}' with the suffix {suffixes}. Add it, or remove the image."
            )
        elif file not in self.listing:
            problem = f"there is no {self.target.column} '{file}'. Add it, or remove the line."
        if image in self.listing:
            self.seen.setdefault(key, image)
        if problem is not None or file is None:
            self.diagnostics.problem(f"{row.where}{problem}")
            return None
        return self._described(row, name, image, file)

    def _target_of(self, row: Row, name: str) -> tuple[Path | None, str]:
        """The file of ground truth, None if there is none; and what two images must not share."""
        column = self.target.column
        given = row.values.get(f"{column}_file_name") or row.values.get(column)
        if given:
            return self._either(str(given), row.base, self.targets), name
        stem = str(PurePosixPath(name).with_suffix(""))
        return self.of_stem.get(stem), stem

    def _described(self, row: Row, name: str, image: Path, target: Path) -> Record:
        return Record(
            name,
            image,
            target,
            texts_of(row, _EXPRESSIONS, self.diagnostics),
            self._first_text(row, *CAPTIONS),
            self._first_text(row, "scene"),
            self._first_text(row, "category"),
            row.where,
        )

    def _first_text(self, row: Row, *keys: str) -> str | None:
        return next(iter(texts_of(row, keys, self.diagnostics)), None)

    def _either(self, name: str, first: Path, second: Path) -> Path:
        """The path of a name in the second folder if only that one has it, else in the first."""
        file = first / name
        if file not in self.listing and second / name in self.listing:
            file = second / name
        return Path(os.path.normpath(file))

    def _report_unused(self, found: Sequence[Record], images: Sequence[Path]) -> None:
        used: set[Path] = set()
        for record in found:
            used |= {record.image, record.target}
        candidates = list(images)
        if not self.per_expression:  # a mask beside those of expressions may be another task's
            candidates = [*self.of_stem.values(), *images]
        unused = []
        for file in candidates:
            if file not in used and _stem(file, self.targets) not in self.seen:
                unused.append(f"{file}: no image or target has its name, and no table names it; it is not used.")
        self.diagnostics.unused(unused)


def _files(folder: Path, suffixes: Sequence[str], kind: str, diagnostics: Diagnostics) -> list[Path]:
    """Files at any depth, also behind links; hidden ones, such as macOS's ``._1.jpg``, are skipped.

    Files with other suffixes, tables excepted, are reported, one sentence for each suffix.
    """
    found: list[Path] = []
    others: dict[str, list[Path]] = {}
    visited = set()
    for place, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in visited:  # a link to a folder above
            inner.clear()
            continue
        visited.add(real)
        inner[:] = filterfalse(_is_hidden, inner)
        for name in filterfalse(_is_hidden, names):
            file = Path(place, name)
            if file.suffix.lower() in suffixes:
                found.append(file)
            elif name not in (*TABLES, *SENTENCES):
                others.setdefault(file.suffix, []).append(file)
    for suffix, files in sorted(others.items()):
        diagnostics.unused(
            [
                f"{folder}: {len(files)} files end in '{suffix}', such as {min(files).relative_to(folder)}, which are not "
                f"read; {kind} are {', '.join(suffixes)}."
            ]
        )
    return sorted(found)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _by_stem(folder: Path, target: DenseTarget, diagnostics: Diagnostics) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in _files(folder, target.suffixes, f"files of {target.name}", diagnostics):
        first = found.setdefault(_stem(file, folder), file)
        if first != file:
            diagnostics.problem(f"{file}: {first.name} is beside it, and an image has one target. Remove one of them.")
    return found


def _stem(file: Path, folder: Path) -> str:
    if not file.is_relative_to(folder):
        return str(file)
    return file.relative_to(folder).with_suffix("").as_posix()


def _name(image: Path, images: Path, root: Path) -> str:
    for base in (images, root):
        normal = Path(os.path.normpath(base))
        if image.is_relative_to(normal):
            return image.relative_to(normal).as_posix()
    return image.as_posix()
