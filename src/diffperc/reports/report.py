"""The report of a training: one page that shows whether it went well."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from diffperc.files.write import write_picture, write_string
from diffperc.reports.cases import FOLDER, read_cases
from diffperc.reports.curves import COLOURS, Series, curves, overlaid, read_metrics
from diffperc.reports.judgement import Changed, judged
from diffperc.reports.summary import read_object
from diffperc.visualization.html import Block, Chart, Details, Section, Table, chart, embedded, page
from diffperc.visualization.panels import rasterised

FILE = "report.html"
_NAMED = 40  # classes whose names fit beside a confusion matrix
_CONFUSED = 10
_KEYS = 40  # that differ between runs
_GROUPS = ("task", "dataset", "strategy", "backbone", "head")
_KINDS = {"worst": "Worst images", "median": "Images in the middle", "best": "Best images"}


def write_report(folder: Path, changed: Changed, config: str) -> Path:
    """Write ``report.html`` and ``curves.png`` into a run folder.

    Args:
        folder: of the run; it may not have ended.
        changed: keys of the configuration that differ from what its choices have by default: the default, and the value;
            None: not known.
        config: the whole configuration as yaml.

    Returns:
        The page.
    """
    summary, metrics, cases = read_summary(folder), read_metrics(folder), read_cases(folder)
    drawn = curves(metrics, monitor_of(summary, metrics), baseline_of(summary))
    write_picture(folder / "curves.png", rasterised(drawn))
    sections = [
        Section("What to look at", list(judged(summary, metrics, changed))),
        Section("Result", _result(summary)),
        Section("Learning curves", [chart(drawn)] if metrics else ["Nothing has been logged yet."]),
        *_case_sections(folder, cases),
        Section("Cost", [_cost(summary)]),
        Section("Configuration", _configuration(summary, changed, config)),
        Section("Data", _data(summary)),
        Section("Environment", [Table(("", ""), list(summary.get("environment", {}).items()), numbers=False)]),
    ]
    write_string(folder / FILE, page(f"Report: {folder.name}", subtitle(summary), sections))
    return folder / FILE


def write_comparison(
    folder: Path, runs: Mapping[str, Path], differing: Mapping[str, Mapping[str, str]], changed: Mapping[str, Changed]
) -> Path:
    """Write ``report.html`` of several runs.

    Args:
        folder: for the page.
        runs: run folders by the name that is shown.
        differing: by run, the keys whose values differ between the runs.
        changed: by run, see `write_report`.

    Returns:
        The page.
    """
    summaries = {name: read_summary(run) for name, run in runs.items()}
    metrics = {name: read_metrics(run) for name, run in runs.items()}
    monitors = sorted({monitor_of(summaries[name], metrics[name]) for name in runs})
    keys = list(dict.fromkeys(key for values in differing.values() for key in values))
    groups = [group for group in _GROUPS if len({s.get("choices", {}).get(group) for s in summaries.values()}) > 1]
    scores = sorted({name for summary in summaries.values() for name in summary.get("metrics", {})})
    rows = []
    for name, summary in summaries.items():
        found = summary.get("metrics", {})
        baseline = summary.get("baseline", {})
        row = [name, *(str(summary.get("choices", {}).get(group, "-")) for group in groups)]
        row += [_number(found.get(score)) + _against(found.get(score), baseline.get(score)) for score in scores]
        rows.append([*row, _number(summary.get("seconds_per_step")), _number(summary.get("peak_memory_gb"))])
    headings = ["run", *groups, *scores, "s per step", "peak memory, GB"]
    sections = [
        Section(
            "Runs",
            [Table(headings, rows), "In brackets: divided by the best guess without the image."],
        ),
        Section("Learning curves", [chart(overlaid(metrics, monitor)) for monitor in monitors]),
    ]
    if keys:
        different = [(key, *(differing[name].get(key, "") for name in runs)) for key in keys[:_KEYS]]
        more = [f"{len(keys) - _KEYS} more keys differ."] if len(keys) > _KEYS else []
        sections.append(Section("What differs", [Table(("key", *runs), different, numbers=False), *more]))
    for name, run in runs.items():
        cases = read_cases(run)
        blocks: list[Block] = [subtitle(summaries[name])]
        blocks += judged(summaries[name], metrics[name], changed[name])
        if cases is not None:
            worst = [each for each in cases["shown"] if each["kind"] == "worst"][:1]
            blocks += [_figure(run, each, cases["unit"]) for each in worst]
        sections.append(Section(name, blocks))
    write_string(folder / FILE, page(f"Report of {len(runs)} runs: {folder.name}", "", sections))
    return folder / FILE


def read_summary(folder: Path) -> dict[str, Any]:
    """``summary.json``; empty where the run has not ended."""
    return read_object(folder / "summary.json") or {}


def monitor_of(summary: Mapping[str, Any], metrics: Mapping[str, Series]) -> str:
    """The metric that chooses the best checkpoint; of a run that has not ended, the first of its validations."""
    return str(summary.get("monitor") or next((name for name in metrics if name.startswith("val/")), "val"))


def baseline_of(summary: Mapping[str, Any]) -> float | None:
    """The monitored metric of the best guess that does not look at the image."""
    value = summary.get("baseline", {}).get(summary.get("monitor", ""))
    return None if value is None else float(value)


def subtitle(summary: Mapping[str, Any]) -> str:
    """A line: what was trained."""
    if not summary:
        return "This run has not ended, or was stopped."
    chosen = summary.get("choices", {})
    parts = [f"{key}={chosen[key]}" for key in ("task", "dataset", "strategy", "backbone") if key in chosen]
    return f"{', '.join(parts)}; {summary['steps']} optimiser steps; protocol {summary['protocol']}."


def _result(summary: Mapping[str, Any]) -> list[Block]:
    if not summary:
        return ["There is no summary.json: the run has not ended."]
    rows = []
    for name, value in summary["metrics"].items():
        baseline = summary["baseline"].get(name)
        share = "" if not baseline or value is None else f"{value / baseline:.3f}"
        rows.append((name, _number(value), _number(baseline), share))
    headings = ("metric", "model", "best guess without the image", "model / guess")
    blocks: list[Block] = [Table(headings, rows)]
    if summary["classes"]:
        columns = list(next(iter(summary["classes"].values())))
        classes = [
            (name, *(_number(scores[column]) for column in columns))
            for name, scores in summary["classes"].items()
            if any(value is not None for value in scores.values())
        ]
        blocks.append(Table(("class", *columns), classes))
    return blocks


def _case_sections(folder: Path, cases: Mapping[str, Any] | None) -> list[Section]:
    if cases is None:
        return [Section("Single images", ["There are none: the run has not ended, or report_images was 0."])]
    errors = np.array([error for _, error in cases["errors"]])
    blocks: list[Block] = [
        f"{len(errors)} of {cases['images']} validation images, evenly spread, ordered by their error {cases['unit']}: "
        f"{errors.min():.3g} to {errors.max():.3g}, half of them below {np.median(errors):.3g}."
    ]
    for kind, title in _KINDS.items():
        chosen = [each for each in cases["shown"] if each["kind"] == kind]
        if chosen:
            blocks += [f"{title}:", *(_figure(folder, each, cases["unit"]) for each in chosen)]
    sections = [Section("Single images", blocks)]
    if cases["confusion"]:
        sections.append(Section("Confusion", _confusion(np.array(cases["confusion"]), cases)))
    if cases["by"]:
        drawn = _line(cases["by"], cases["against"], f"error {cases['unit']}")
        sections.append(Section(f"Error by {cases['against'].partition(',')[0]}", [drawn]))
    if cases["confidence"]:
        falls = all(
            a["error"] >= b["error"] for a, b in zip(cases["confidence"], cases["confidence"][1:], strict=False)
        )
        said = "The error falls" if falls else "Note: the error does not fall"
        drawn = _line(cases["confidence"], "confidence", f"error {cases['unit']}")
        sections.append(Section("Confidence", [f"{said} with every tenth of the confidence.", drawn]))
    return sections


def _figure(folder: Path, each: Mapping[str, Any], unit: str) -> Block:
    file = folder / FOLDER / each["file"]
    if not file.is_file():
        return f"{each['path']}: its figure {file.name} is gone."
    picture = np.asarray(Image.open(file))
    return embedded(picture, f"{each['path']}: error {each['error']:.3g} {unit}", small=False)


def _confusion(counts: Any, cases: Mapping[str, Any]) -> list[Block]:
    names = cases.get("classes") or [str(i) for i in range(len(counts))]
    totals = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    wrong = [(counts[i, j], i, j) for i in range(len(counts)) for j in range(len(counts)) if i != j and counts[i, j]]
    rows = [
        (f"{names[i]} as {names[j]}", f"{shares[i, j]:.0%}", f"{count / counts.sum():.2%}")
        for count, i, j in sorted(wrong, reverse=True)[:_CONFUSED]
    ]
    blocks: list[Block] = [Table(("true class, as predicted class", "of the class", "of all pixels"), rows)]
    occurring = np.flatnonzero(totals[:, 0])
    if 0 < len(occurring) <= _NAMED:
        blocks.insert(0, _matrix(shares[np.ix_(occurring, occurring)], [names[i] for i in occurring]))
    return blocks


def _matrix(shares: Any, names: Sequence[str]) -> Chart:
    side = 1.8 + 0.3 * len(names)
    figure = Figure(figsize=(side, side * 0.92))
    axes = figure.subplots()
    shown = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), labels=names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), labels=names, fontsize=8)
    axes.set_xlabel("predicted", fontsize=9)
    axes.set_ylabel("true", fontsize=9)
    bar = figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.03)
    bar.ax.tick_params(labelsize=8)
    return chart(figure, "Share of the pixels of each true class by predicted class.")


def _line(rows: Sequence[Mapping[str, float]], x: str, y: str) -> Chart:
    figure = Figure(figsize=(5, 3))
    axes = figure.subplots()
    axes.plot([row["value"] for row in rows], [row["error"] for row in rows], "o-", color=COLOURS[0], markersize=5)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.7)
    return chart(figure, f"Each point is a tenth of the pixels or keypoints, ordered by {x.partition(',')[0]}.")


def _cost(summary: Mapping[str, Any]) -> Block:
    rows = [
        ("seconds per step", _number(summary.get("seconds_per_step"))),
        ("seconds in all", _number(summary.get("seconds"))),
        ("peak memory, GB", _number(summary.get("peak_memory_gb"))),
        ("estimated memory, GB", _number(summary.get("estimated_memory_gb"))),
        ("trained parameters", f"{summary['trainable_parameters']:,}" if summary else "-"),
    ]
    return Table(("", ""), [row for row in rows if row[1] != "-"])


def _configuration(summary: Mapping[str, Any], changed: Changed, config: str) -> list[Block]:
    blocks: list[Block] = []
    if summary.get("command"):
        blocks.append(Details("The command that repeats the run", summary["command"]))
    choices = [(group, value) for group, value in summary.get("choices", {}).items() if value not in ("None", "none")]
    if choices:
        blocks.append(Table(("chosen", ""), choices, numbers=False))
    if changed:
        rows = [(key, default, value) for key, (default, value) in changed.items()]
        blocks.append(Table(("key", "default", "here"), rows, numbers=False))
    elif changed is None:
        blocks.append(
            "Which keys differ from their defaults is not known: the choices are not those of this installation."
        )
    else:
        blocks.append("All other keys have the defaults of these choices.")
    blocks.append(Details("The whole configuration", config))
    return blocks


def _data(summary: Mapping[str, Any]) -> list[Block]:
    notes = summary.get("notes", [])
    return [f"Note: {note}" for note in notes] or ["Nothing odd was noticed in the data before training."]


def _number(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _against(value: float | None, baseline: float | None) -> str:
    return f" ({value / baseline:.2f})" if value is not None and baseline else ""
