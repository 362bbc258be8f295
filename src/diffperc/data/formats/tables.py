"""Tables of images: ``metadata.jsonl``, ``metadata.csv`` and ``expressions.jsonl``, one image per row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from diffperc.data.diagnostics import Diagnostics
from diffperc.data.formats.lists import read_text
from diffperc.errors import DataError

TABLES = ("metadata.jsonl", "metadata.csv")
SENTENCES = ("expressions.jsonl",)
_IMAGE = "file_name"


class Row(NamedTuple):
    """values: by column; where: the line with a colon and a space behind it, empty for an image that no table names;
    base: the folder at which its paths begin."""

    values: dict[str, Any]
    where: str
    base: Path


def tables_in(root: Path, images: Path, names: Sequence[str]) -> list[Path]:
    """Tables in the root, in the folder of images, and in the folders directly in these; hidden ones are skipped."""
    tops = dict.fromkeys((root, images))
    places = list(tops)
    for top in tops:
        if top.is_dir():
            places += [path for path in sorted(top.iterdir()) if path.is_dir() and path.name[0] != "."]
    candidates = [place / name for place in dict.fromkeys(places) for name in names]
    return [file for file in candidates if file.is_file()]


def read_rows(table: Path, diagnostics: Diagnostics) -> Iterator[Row]:
    """The rows of a table that name an image.

    Raises:
        DataError: the file cannot be read.
    """
    text = read_text(table)
    lines = _csv_lines(table, text, diagnostics) if table.suffix == ".csv" else _json_lines(table, text, diagnostics)
    for where, values in lines:
        name = values.get(_IMAGE) if isinstance(values, dict) else None
        if not isinstance(name, str) or name in ("", "."):
            diagnostics.problem(f"{where}names no image under '{_IMAGE}'.")
            continue
        yield Row(values, where, table.parent)


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
            continue
        yield where, values


def texts_of(row: Row, keys: Sequence[str], diagnostics: Diagnostics) -> tuple[str, ...]:
    """The sentence or sentences under the first of the keys that has any."""
    key = next((key for key in keys if row.values.get(key)), None)
    if key is None:
        return ()
    given = row.values[key]
    sentences = [given] if isinstance(given, str) else given
    if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
        diagnostics.problem(f"{row.where}'{key}' must be a text or a list of texts, found {given!r}.")
        return ()
    return tuple(sentence.strip() for sentence in sentences if sentence.strip())
