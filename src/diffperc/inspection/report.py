"""What an inspection prints."""

from __future__ import annotations

from collections.abc import Sequence
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
        counted: what the tables of counts count, such as ``class``; empty: nothing.
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
    table = Table(title=f"{report['dataset']} for {report['task']}")
    for column in ("", *splits):
        table.add_column(column)
    for name in ("samples", "images"):
        table.add_row(name, *[str(split[name]) for split in splits.values()])
    table.add_row("sizes", *[_sizes(split["sizes"]) for split in splits.values()])
    for name in _names(splits, "values"):
        table.add_row(name, *[_range(split["values"].get(name)) for split in splits.values()])
    return table


def _counts_table(splits: dict[str, Any], counted: str) -> Table:
    table = Table(title=f"share of what is counted, and in how many samples each {counted} occurs")
    for column in (counted, *splits):
        table.add_column(column)
    for name in _names(splits, "counts"):
        table.add_row(name, *[_count(split["counts"].get(name)) for split in splits.values()])
    return table


def _names(splits: dict[str, Any], part: str) -> list[str]:
    names: dict[str, None] = {}
    for split in splits.values():
        names |= dict.fromkeys(split[part])
    return list(names)


def _range(numbers: Sequence[float] | None) -> str:
    if numbers is None:
        return ""
    low, middle, high = numbers
    return f"{low:.4g} .. {middle:.4g} .. {high:.4g}"


def _count(count: dict[str, float] | None) -> str:
    return "" if count is None else f"{count['share']:8.3%} {count['samples']:6d}"


def _sizes(sizes: dict[str, int]) -> str:
    ordered = sorted(sizes.items(), key=lambda pair: -pair[1])
    listed = ", ".join([f"{size} ({count})" for size, count in ordered[:_SIZES]])
    more = len(ordered) - _SIZES
    return f"{listed} and {more} more" if more > 0 else listed


def _print_sentences(title: str, sentences: Sequence[str]) -> None:
    for sentence in sentences[:_LISTED]:
        print(f"{title}: {sentence}")
    if len(sentences) > _LISTED:
        print(f"{title}: and {len(sentences) - _LISTED} more.")
