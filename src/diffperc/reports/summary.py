"""The summary of a run: printed as tables, written as json."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from diffperc.errors import TrainingError
from diffperc.files.read import parse_json


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a json file at once or not at all; a number that is none, which json does not have, becomes null."""
    unfinished = path.with_suffix(".json.part")
    unfinished.write_text(json.dumps(_finite(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def read_object(path: Path) -> dict[str, Any] | None:
    """What `write_json` wrote; None where there is no such file.

    Raises:
        ValueError: it is not a json object.
    """
    if not path.is_file():
        return None
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is no json object")
    return content


def check_scores(metrics: Mapping[str, float], baseline: Mapping[str, float], monitor: str) -> None:
    """Check that the metric that chooses the best checkpoint is a number, if the validation computed it.

    Args:
        metrics: of the last validation.
        baseline: the same metrics of a prediction that does not look at the image; empty where it is not known.
        monitor: the metric's name.

    Raises:
        TrainingError: it is not; the message names the likely cause.
    """
    if math.isfinite(metrics.get(monitor, 0.0)):
        return
    cause = "the predictions are no numbers: lower recipe.lr, or use trainer.precision=32-true"
    if not math.isfinite(baseline.get(monitor, 0.0)):
        cause = "nothing of the validation split is counted: look at it with diffperc inspect"
    raise TrainingError(f"{monitor} is {metrics[monitor]}: {cause}. All files of the run are written.")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_summary(summary: dict[str, Any], dataset: str, images: int, folder: Path) -> None:
    """Print the metrics, beside the baseline's if there is one, and the paths of all results.

    Args:
        summary: with ``metrics``, ``classes``, ``protocol``, ``checkpoint``, and possibly ``baseline``.
        dataset: the name of the data set.
        images: the number of scored images.
        folder: the run folder.
    """
    table = Table(title=f"{dataset}, {images} images, protocol {summary['protocol']}")
    table.add_column("metric")
    for column in ("model", "baseline", "model / baseline"):
        table.add_column(column, justify="right")
    baselines = summary.get("baseline", {})
    for name, value in summary["metrics"].items():
        row = [name, f"{value:.4f}"]
        baseline = baselines.get(name)
        if baseline:
            row += [f"{baseline:.4f}", f"{value / baseline:.3f}"]
        table.add_row(*row)
    Console().print(table)
    if summary["classes"]:
        _print_classes(summary["classes"])
    print(f"checkpoint: {summary['checkpoint']}")
    print(f"figures:    {folder / 'figures'}")
    print(f"summary:    {folder / 'summary.json'}")
    if (folder / "report.html").is_file():
        print(f"report:     {folder / 'report.html'}")


def _print_classes(classes: dict[str, dict[str, float]]) -> None:
    """Scores by class; classes that do not occur, whose scores are NaN, are left out."""
    columns = list(next(iter(classes.values())))
    table = Table(title="by class")
    table.add_column("class")
    for column in columns:
        table.add_column(column, justify="right")
    for name, scores in classes.items():
        if not all(map(math.isnan, scores.values())):
            table.add_row(name, *[f"{scores[column]:.4f}" for column in columns])
    Console().print(table)
