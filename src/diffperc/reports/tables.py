"""Tables of runs, in the terminal and as csv and markdown."""

from __future__ import annotations

import csv
import itertools
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from diffperc.errors import DataError

Row = dict[str, str]


def write_table(rows: Sequence[Row], stem: Path, title: str, show: bool = True) -> None:
    """Write ``<stem>.csv`` and ``<stem>.md`` and print the same; a row may lack columns; its cells are then empty."""
    columns = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    with stem.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    table = Table(*columns, title=title)
    lines = [_markdown(columns), _markdown(["---"] * len(columns))]
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        table.add_row(*cells)
        lines.append(_markdown(cells))
    stem.with_suffix(".md").write_text("".join(lines), encoding="utf-8")
    if show:
        # without a terminal rich would cut the table to 80 columns
        Console(width=None if Console().is_terminal else 220).print(table)


def _markdown(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


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
        "s/step": number(summary["seconds_per_step"], 3),
        "peak GB": number(summary["peak_memory_gb"], 2),
    }


def number(value: float | None, digits: int = 4) -> str:
    """A number of a summary; null there is what could not be computed."""
    return "nan" if value is None else f"{value:.{digits}f}"


def comparison(summaries: Sequence[dict[str, Any]]) -> list[Row]:
    """One row per strategy: for each task (and data set, backbone) the monitored metric, baseline and cost.

    Several runs of one cell are shown by their mean and their number.
    """
    cells: dict[str, dict[str, list[dict[str, Any]]]] = {}
    rows: dict[str, Row] = {}
    for summary in summaries:
        strategy = summary["choices"]["strategy"]
        rows[strategy] = {"strategy": strategy}
        cells.setdefault(_column(summary), {}).setdefault(strategy, []).append(summary)
    for column, by_strategy in cells.items():
        for strategy, runs in by_strategy.items():
            for name, value in _cell(runs).items():
                rows[strategy][f"{column} {name}"] = value
    return list(rows.values())


def _cell(runs: Sequence[dict[str, Any]]) -> Row:
    """Metric, baseline and cost of the runs of one strategy on one task."""
    metric = runs[0]["monitor"]
    count = f" (mean of {len(runs)})" if len(runs) > 1 else ""
    return {
        metric.removeprefix("val/"): f"{number(_mean(runs, 'metrics', metric))}{count}",
        "baseline": number(_mean(runs, "baseline", metric)),
        **cost_columns(runs[0]),
    }


def _column(summary: dict[str, Any]) -> str:
    """The task, and the data set and the backbone unless they are the defaults."""
    choices = summary["choices"]
    names = [choices["task"]]
    if choices["dataset"] != "scenes":
        names.append(choices["dataset"])
    if choices["backbone"] != "tiny":
        names.append(choices["backbone"])
    return " ".join(names)


def _mean(runs: Sequence[dict[str, Any]], part: str, name: str) -> float | None:
    """None if one of the runs has none."""
    values = [run[part].get(name) for run in runs]
    return None if None in values else statistics.fmean(values)
