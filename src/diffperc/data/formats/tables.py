"""Tables of images: ``metadata.jsonl``, ``metadata.csv`` and ``expressions.jsonl``, one image per row."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from diffperc.data.diagnostics import Diagnostics
from diffperc.errors import DataError, did_you_mean
from diffperc.files.read import parse_json, read_text

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


def read_rows(table: Path, diagnostics: Diagnostics, columns: Columns) -> Iterator[Row]:
    """The rows of a table that name an image, with the names of columns as they are known.

    Args:
        table: the file.
        diagnostics: collects rows without an image, and columns that are not known or differently written.
        columns: which are known.

    Raises:
        DataError: the file cannot be read.
    """
    text = read_text(table)
    read_lines = _csv_lines if table.suffix == ".csv" else _json_lines
    for where, values in read_lines(table, text, diagnostics):
        named = columns.renamed(values, table, diagnostics) if isinstance(values, dict) else values
        if _names_image(named):
            yield Row(named, where, table.parent)
        else:
            diagnostics.problem(f"{where}names no image under '{_IMAGE}'.")


class Columns:
    """The columns that tables may have.

    Args:
        known: names that are read, for this task or another.
        unused: further names, which the user has declared as not to be read.
    """

    def __init__(self, known: Iterable[str], unused: Iterable[str] = ()) -> None:
        self._known = dict.fromkeys((_IMAGE, *known))
        self._unused = frozenset(unused)
        self._said: set[tuple[Path, str]] = set()

    def renamed(self, values: dict[str, Any], table: Path, diagnostics: Diagnostics) -> dict[str, Any]:
        """The values by known names; a column that is not known is reported once per table, and left out."""
        found: dict[str, Any] = {}
        for name, value in values.items():
            key = _plain(name)
            if name in self._unused:
                continue
            if key in self._known and key not in found:
                found[key] = value
                if key != name and self._is_new(table, name):
                    diagnostics.unused([f"{table}: the column '{name}' is read as '{key}'."])
            elif self._is_new(table, name):
                diagnostics.problem(f"{table}: {self._why(name, key, found)}")
        return found

    def _is_new(self, table: Path, name: str) -> bool:
        if (table, name) in self._said:
            return False
        self._said.add((table, name))
        return True

    def _why(self, name: str, key: str, found: Mapping[str, Any]) -> str:
        if key in found:
            return f"the column '{name}' occurs twice, also as '{key}' in another spelling; remove one of them."
        return (
            f"nothing reads the column '{name}'{did_you_mean(key, self._known)}. Rename it, or name it in "
            f"dataset.unused_columns=[{name}]."
        )


def _plain(name: Any) -> str:
    """A column's name in lower case, with underscores instead of spaces and hyphens."""
    return "_".join(str(name).strip().lower().replace("-", " ").split())


def _names_image(values: Any) -> bool:
    if not isinstance(values, dict):
        return False
    name = values.get(_IMAGE)
    return isinstance(name, str) and name not in ("", ".")


def _csv_lines(table: Path, text: str, diagnostics: Diagnostics) -> Iterator[tuple[str, Any]]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"{table}: cannot be read as a table ({error}).") from error
    columns = reader.fieldnames or []
    if _IMAGE not in map(_plain, columns):
        found = ", ".join(map(str, columns)) or "none"
        diagnostics.problem(f"{table}: has no column '{_IMAGE}' but {found}; columns are separated by commas.")
        return
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        diagnostics.problem(f"{table}: has the column '{twice[0]}' more than once; remove or rename all but one.")
        return
    for number, row in enumerate(rows, 2):
        where = f"{table}, line {number}: "
        if row.pop(None, None):
            diagnostics.problem(
                f"{where}has more cells than the first line has columns; put texts with commas in quotes."
            )
        else:
            yield where, row


def _json_lines(table: Path, text: str, diagnostics: Diagnostics) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{table}, line {number}: "
        if not line.strip():
            continue
        try:
            values = parse_json(line, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            diagnostics.problem(f"{where}is not valid json ({str(error)[:80]}).")
        else:
            yield where, values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of equal keys json would take the last."""
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        raise ValueError(f"the key '{twice[0]}' occurs more than once")
    return values


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
