"""The table at the end of a sweep (``-m``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from diffperc.reports.tables import Row, cost_columns, write_table


class SweepTable(Callback):
    """Collects every job's ``summary.json`` into ``table.csv`` and ``table.md`` in the sweep folder, and prints it."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra after the last job."""
        folder = Path(config.hydra.sweep.dir)
        files = sorted(folder.glob("*/summary.json"), key=lambda f: (len(f.parent.name), f.parent.name))
        if files:
            write_table([_row(file) for file in files], folder / "table", str(folder))


def _row(file: Path) -> Row:
    summary = json.loads(file.read_text(encoding="utf-8"))
    overrides = OmegaConf.load(file.parent / ".hydra" / "overrides.yaml")
    row: Row = dict(str(o).split("=", 1) for o in overrides)
    row |= {name: f"{value:.4f}" for name, value in summary["metrics"].items()}
    monitor = summary["monitor"]
    row[f"baseline {monitor}"] = f"{summary['baseline'][monitor]:.4f}"
    return row | cost_columns(summary)
