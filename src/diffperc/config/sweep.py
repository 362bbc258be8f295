"""The table at the end of a sweep (``-m``)."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

Row = dict[str, str]


class SweepTable(Callback):
    """Collects every job's ``summary.json`` into ``table.csv`` and ``table.md`` in the sweep folder, and prints it."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra after the last job."""
        folder = Path(config.hydra.sweep.dir)
        rows = [_row(file) for file in sorted(folder.glob("*/summary.json"), key=lambda f: f.parent.name)]
        if not rows:
            return
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        lines = [columns, ["---"] * len(columns), *([row.get(c, "") for c in columns] for row in rows)]
        text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        (folder / "table.md").write_text(text, encoding="utf-8")
        table = Table(title=str(folder))
        for column in columns:
            table.add_column(column)
        for row in rows:
            table.add_row(*(row.get(c, "") for c in columns))
        # without a terminal rich would cut the table to 80 columns
        Console(width=None if Console().is_terminal else 220).print(table)


def _row(file: Path) -> Row:
    summary = json.loads(file.read_text(encoding="utf-8"))
    overrides = OmegaConf.load(file.parent / ".hydra" / "overrides.yaml")
    row: Row = dict(str(o).split("=", 1) for o in overrides)
    row |= {name: f"{value:.4f}" for name, value in summary["metrics"].items()}
    monitor = summary["monitor"]
    row[f"baseline {monitor}"] = f"{summary['baseline'][monitor]:.4f}"
    row["trainable M"] = f"{summary['trainable_parameters'] / 1e6:.2f}"
    row["s/step"] = f"{summary['seconds_per_step']:.3f}"
    return row
