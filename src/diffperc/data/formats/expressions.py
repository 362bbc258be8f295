"""Records of images with sentences, each of which names what a mask shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffperc.data.diagnostics import Diagnostics
from diffperc.data.formats.image_folder import Record


def with_expressions(records: Sequence[Record], diagnostics: Diagnostics) -> list[Record]:
    """The records that have sentences; the others are reported."""
    found = []
    for record in records:
        if record.expressions:
            found.append(record)
        else:
            diagnostics.problem(f"{record.where}has no 'expression', a sentence that names what the mask shows.")
    return found


def per_sentence(records: Sequence[Record]) -> list[Record]:
    """One record per sentence."""
    found = []
    for record in records:
        for sentence in record.expressions:
            found.append(record._replace(expressions=(sentence,)))
    return found


def merged(records: Sequence[Record]) -> list[Record]:
    """One record per referent, with all its sentences."""
    merged: dict[tuple[str, Path], Record] = {}
    for record in records:
        key = record.name, record.target
        if key in merged:
            record = record._replace(expressions=merged[key].expressions + record.expressions)
        merged[key] = record
    return list(merged.values())
