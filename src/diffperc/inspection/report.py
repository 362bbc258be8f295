"""The printed report of an inspection."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from rich.console import Console
from rich.table import Table

from diffperc.inspection.throughput import describe_speed

_LISTED = 20  # sentences on the screen; the file has all
_SIZES = 3


def print_report(report: dict[str, Any], counted: str) -> None:
    """Print tables, speed, notes and problems.

    Args:
        report: as written to ``report.json``.
        counted: what the table of counts lists, such as ``class``; empty for no table.
    """
    console = Console(width=None if Console().is_terminal else 140)
    console.print(_values_table(report))
    print("ranges are smallest .. median .. largest of a sample")
    splits = report["splits"]
    if counted and any(split["counts"] for split in splits.values()):
        console.print(_counts_table(splits, counted))
    if report["loader"]:
        print(describe_speed(report["loader"]))
    _print_sentences("note", report["notes"])
    _print_sentences("problem", report["problems"])


def _values_table(report: dict[str, Any]) -> Table:
    splits = report["splits"]
    table = Table("", *splits, title=f"{report['dataset']} for {report['task']}")
    contents = list(splits.values())
    for name, describe in (("samples", str), ("images", str), ("sizes", _sizes)):
        table.add_row(name, *map(describe, map(itemgetter(name), contents)))
    _add_rows(table, [content["values"] for content in contents], _range)
    return table


def _counts_table(splits: dict[str, Any], counted: str) -> Table:
    title = f"share of all that is counted, and the number of samples in which each {counted} occurs"
    table = Table(counted, *splits, title=title)
    _add_rows(table, [content["counts"] for content in splits.values()], _count)
    return table


def _add_rows(table: Table, columns: Sequence[dict[str, Any]], describe: Callable[[Any], str]) -> None:
    """One row per name that any column has."""
    names = dict.fromkeys(itertools.chain.from_iterable(columns))
    for name in names:
        row = [name]
        for column in columns:
            row.append(describe(column[name]) if name in column else "")
        table.add_row(*row)


def _range(numbers: Sequence[float]) -> str:
    low, middle, high = numbers
    return f"{low:.4g} .. {middle:.4g} .. {high:.4g}"


def _count(count: dict[str, float]) -> str:
    return f"{count['share']:8.3%} {count['samples']:6d}"


def _sizes(sizes: dict[str, int]) -> str:
    listed = []
    for size, count in Counter(sizes).most_common(_SIZES):
        listed.append(f"{size} ({count})")
    more = len(sizes) - _SIZES
    text = ", ".join(listed)
    return f"{text} and {more} more" if more > 0 else text


def _print_sentences(title: str, sentences: Sequence[str]) -> None:
    for sentence in sentences[:_LISTED]:
        print(f"{title}: {sentence}")
    if len(sentences) > _LISTED:
        print(f"{title}: and {len(sentences) - _LISTED} more.")
