"""Tables of runs, in the terminal and as csv and markdown."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from diffperc.errors import DataError

Row = dict[str, str]


def write_table(rows: Sequence[Row], stem: Path, title: str, show: bool = True) -> None:
    """Write ``<stem>.csv`` and ``<stem>.md`` and print the same; a row may lack columns."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with stem.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    lines = [columns, ["---"] * len(columns), *([row.get(c, "") for c in columns] for row in rows)]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    if not show:
        return
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(row.get(c, "") for c in columns))
    # without a terminal rich would cut the table to 80 columns
    Console(width=None if Console().is_terminal else 220).print(table)


def read_summaries(folder: Path) -> list[dict[str, Any]]:
    """Every ``summary.json`` of a training run below a folder, by path.

    Raises:
        DataError: there is none.
    """
    found = []
    for file in sorted(folder.rglob("summary.json")):
        summary = json.loads(file.read_text(encoding="utf-8"))
        if "choices" in summary:  # an evaluation's has none
            found.append(summary)
    if not found:
        raise DataError(f"runs: there is no summary.json of a training run below '{folder}'.")
    return found


def cost_columns(summary: dict[str, Any]) -> Row:
    """Parameters, time and memory of a run."""
    return {
        "trainable M": f"{summary['trainable_parameters'] / 1e6:.2f}",
        "s/step": f"{summary['seconds_per_step']:.3f}",
        "peak GB": f"{summary['peak_memory_gb']:.2f}",
    }


def comparison(summaries: Sequence[dict[str, Any]]) -> list[Row]:
    """One row a strategy: for each task (and data set, backbone) the monitored metric, baseline and cost.

    Of several runs of one cell the mean is shown, with their number.
    """
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    columns = [_column(s) for s in summaries]
    for summary, column in zip(summaries, columns, strict=True):
        cells.setdefault((summary["choices"]["strategy"], column), []).append(summary)
    rows = []
    for strategy in dict.fromkeys(s["choices"]["strategy"] for s in summaries):
        row: Row = {"strategy": strategy}
        for column in dict.fromkeys(columns):
            runs = cells.get((strategy, column), [])
            if not runs:
                continue
            metric = runs[0]["monitor"]
            name = metric.removeprefix("val/")
            count = f" (mean of {len(runs)})" if len(runs) > 1 else ""
            row[f"{column} {name}"] = f"{_mean(runs, 'metrics', metric):.4f}{count}"
            row[f"{column} baseline"] = f"{_mean(runs, 'baseline', metric):.4f}"
            row |= {f"{column} {k}": v for k, v in cost_columns(runs[0]).items()}
        rows.append(row)
    return rows


def _column(summary: dict[str, Any]) -> str:
    choices = summary["choices"]
    return " ".join([choices["task"], *(c for c in (choices["dataset"], choices["backbone"]) if c not in _USUAL)])


_USUAL = ("scenes", "tiny")


def _mean(runs: Sequence[dict[str, Any]], part: str, name: str) -> float:
    return float(sum(r[part][name] for r in runs) / len(runs))
