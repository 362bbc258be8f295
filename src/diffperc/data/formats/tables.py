"""Tables of images: ``metadata.jsonl``, ``metadata.csv`` and ``expressions.jsonl``, one image per row."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from diffperc.data.diagnostics import Diagnostics
from diffperc.data.formats.files import read_text
from diffperc.errors import DataError

TABLES = ("metadata.jsonl", "metadata.csv")
SENTENCES = ("expressions.jsonl",)
_IMAGE = "file_name"


class Row(NamedTuple):
    """One image of a table.

    Attributes:
        values: by column.
        where: the table and the line, followed by a colon and a space; empty for an image that no table names.
        base: the folder to which its paths are relative.
    """

    values: dict[str, Any]
    where: str
    base: Path


def tables_in(root: Path, images: Path, names: Sequence[str]) -> list[Path]:
    """Tables in the root, in the folder of images, and in the folders directly below them; hidden ones are skipped."""
    places = [root, images, *sorted(root.glob("[!.]*/")), *sorted(images.glob("[!.]*/"))]
    tables = []
    for place, name in itertools.product(dict.fromkeys(places), names):
        table = place / name
        if table.is_file():
            tables.append(table)
    return tables


def read_rows(table: Path, diagnostics: Diagnostics) -> Iterator[Row]:
    """The rows of a table that name an image.

    Raises:
        DataError: the file cannot be read.
    """
    text = read_text(table)
    read_lines = _csv_lines if table.suffix == ".csv" else _json_lines
    for where, values in read_lines(table, text, diagnostics):
        if _names_image(values):
            yield Row(values, where, table.parent)
        else:
            diagnostics.problem(f"{where}names no image under '{_IMAGE}'.")


def _names_image(values: Any) -> bool:
    if not isinstance(values, dict):
        return False
    name = values.get(_IMAGE)
    return isinstance(name, str) and name not in ("", ".")


def _csv_lines(table: Path, text: str, diagnostics: Diagnostics) -> Iterator[tuple[str, Any]]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"{table}: cannot be read as a table ({error}).") from error
    columns = reader.fieldnames or []
    if _IMAGE not in columns:
        found = ", ".join(map(str, columns)) or "none"
        diagnostics.problem(f"{table}: has no column '{_IMAGE}' but {found}.")
        return
    for number, row in enumerate(rows, 2):
        yield f"{table}, line {number}: ", row


def _json_lines(table: Path, text: str, diagnostics: Diagnostics) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{table}, line {number}: "
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            diagnostics.problem(f"{where}is not valid json ({error}).")
        else:
            yield where, values


def texts_of(row: Row, keys: Sequence[str], diagnostics: Diagnostics) -> tuple[str, ...]:
    """The sentence or sentences under the first of the keys that has any."""
    for key in keys:
        given = row.values.get(key)
        if given:
            return _sentences(row, key, given, diagnostics)
    return ()


def _sentences(row: Row, key: str, given: Any, diagnostics: Diagnostics) -> tuple[str, ...]:
    sentences = [given] if isinstance(given, str) else given
    if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
        diagnostics.problem(f"{row.where}'{key}' must be a text or a list of texts, found {given!r}.")
        return ()
    return tuple(filter(None, map(str.strip, sentences)))
