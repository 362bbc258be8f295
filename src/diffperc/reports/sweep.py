"""The table at the end of a sweep (``-m``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from diffperc.reports.tables import Row, cost_columns, number, write_table


class SweepTable(Callback):
    """Collects every job's ``summary.json`` into ``table.csv`` and ``table.md`` in the sweep folder, and prints it."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra after the last job."""
        folder = Path(config.hydra.sweep.dir)
        jobs = sorted(folder.glob("*/.hydra"), key=lambda job: (len(job.parent.name), job.parent.name))
        rows = [_row(job.parent) for job in jobs]
        if rows:
            write_table(rows, folder / "table", str(folder))


def _row(job: Path) -> Row:
    """The overrides of a job, and its results, or the sentence with which it failed."""
    overrides = OmegaConf.load(job / ".hydra" / "overrides.yaml")
    row: Row = dict(str(o).split("=", 1) for o in overrides)
    file = job / "summary.json"
    if not file.is_file():
        error = job / "error.txt"
        return row | {"error": error.read_text(encoding="utf-8").strip() if error.is_file() else "has not ended"}
    summary = json.loads(file.read_text(encoding="utf-8"))
    monitor = summary["monitor"]
    row |= {name: number(value) for name, value in summary["metrics"].items()}
    return row | {f"baseline {monitor}": number(summary["baseline"].get(monitor)), **cost_columns(summary)}
