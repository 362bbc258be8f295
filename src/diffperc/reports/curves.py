"""Learning curves from a run's ``metrics.csv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

Series = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Steps, and the values logged after them."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's palette, in the order in which runs and curves take them."""
_SMOOTHED = 30  # points of the training loss from which on its running mean is drawn too


def read_metrics(folder: Path) -> dict[str, Series]:
    """The series of ``metrics.csv`` by name; empty where a run has none yet."""
    file = folder / "metrics.csv"
    if not file.is_file():
        return {}
    found: dict[str, list[tuple[float, float]]] = {}
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            for name, text in row.items():
                if name and text and name not in ("step", "epoch") and row.get("step"):
                    found.setdefault(name, []).append((float(row["step"]), float(text)))
    return {name: (np.array(rows)[:, 0], np.array(rows)[:, 1]) for name, rows in found.items()}


def learning_rates(metrics: Mapping[str, Series]) -> dict[str, Series]:
    """The series of learning rates, one for each that differs from those before it."""
    found: dict[str, Series] = {}
    for name, series in metrics.items():
        if name.startswith("lr-") and not any(np.array_equal(series[1], other[1]) for other in found.values()):
            found[name.rpartition("/")[2]] = series
    return found


def curves(metrics: Mapping[str, Series], monitor: str, baseline: float | None) -> Figure:
    """Training loss, the metric that chooses the best checkpoint, and learning rates, below one another.

    Args:
        metrics: see `read_metrics`.
        monitor: name of the metric.
        baseline: the metric of the best guess that does not look at the image; None: not known.
    """
    figure = Figure(figsize=(5.6, 6))
    loss, score, rates = figure.subplots(3, sharex=True, height_ratios=(3, 3, 1.4))
    if "train/loss" in metrics:
        steps, values = metrics["train/loss"]
        few = len(values) <= _SMOOTHED
        style = "o-" if few else "-"
        loss.plot(steps, values, style, color=COLOURS[0], alpha=1 if few else 0.35, linewidth=1, markersize=4)
        if not few:
            loss.plot(steps, smoothed(values), color=COLOURS[0], linewidth=1.8)
        _fit_to(loss, values)
    loss.set_ylabel("training loss")
    if monitor in metrics:
        steps, values = metrics[monitor]
        score.plot(steps, values, "o-", color=COLOURS[1], markersize=4, linewidth=1.5, label=monitor)
    if baseline is not None and math.isfinite(baseline):
        score.axhline(baseline, color="0.35", linestyle="--", linewidth=1, label="best guess without the image")
    score.set_ylabel(monitor)
    if score.get_legend_handles_labels()[0]:
        score.legend(fontsize=8, frameon=False)
    for i, (name, (steps, values)) in enumerate(learning_rates(metrics).items()):
        style = "o-" if len(values) <= _SMOOTHED else "-"
        rates.plot(steps, values, style, color=COLOURS[i % len(COLOURS)], linewidth=1.2, markersize=3, label=name[:40])
    if rates.get_legend_handles_labels()[0]:
        rates.legend(fontsize=7, frameon=False)
    rates.set_ylabel("learning rate")
    rates.set_xlabel("optimiser step")
    return _tidy(figure)


def overlaid(runs: Mapping[str, Mapping[str, Series]], monitor: str) -> Figure:
    """The metric of several runs in one chart, by the runs' names."""
    figure = Figure(figsize=(5.6, 3.4))
    axes = figure.subplots()
    for i, (name, metrics) in enumerate(runs.items()):
        if monitor in metrics:
            style = "o-" if i < len(COLOURS) else "s--"
            axes.plot(*metrics[monitor], style, color=COLOURS[i % len(COLOURS)], markersize=4, label=name)
    axes.set_xlabel("optimiser step")
    axes.set_ylabel(monitor)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
    return _tidy(figure)


def smoothed(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """The running mean over a tenth of the values."""
    window = max(1, len(values) // 10)
    total = np.cumsum(np.concatenate([[0.0], np.asarray(values, float)]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return (total[ends] - total[starts]) / (ends - starts)


def _fit_to(axes: object, values: NDArray[np.float64]) -> None:
    """Let the axis show most of the values: a few huge ones, as of the first steps, would press all others flat."""
    finite = values[np.isfinite(values)]
    if len(finite) < _SMOOTHED:
        return
    low, high = np.percentile(finite, (0.5, 97))
    room = 0.08 * max(high - low, 1e-9)
    axes.set_ylim(low - room, high + room)  # type: ignore[attr-defined]


def _tidy(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=9)
        axes.yaxis.label.set_fontsize(9)
        axes.xaxis.label.set_fontsize(9)
    figure.align_ylabels()
    figure.tight_layout()
    return figure
