"""``python -m diffperc.compare runs=...``: strategies by tasks, from the runs below a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Read every run's summary, print the table, write it as csv and markdown."""
    from pathlib import Path

    from diffperc.errors import DataError
    from diffperc.reports.tables import comparison, read_summaries, write_table

    folder = Path(cfg.runs).expanduser()
    if not folder.is_dir():
        raise DataError(f"runs: there is no folder '{folder}'.")
    write_table(comparison(read_summaries(folder)), folder / "comparison", f"strategies by tasks, {folder}")
    print(f"written: {folder / 'comparison'}.csv, .md")


if __name__ == "__main__":
    entry("compare", run)
