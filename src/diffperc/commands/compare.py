"""Comparing the runs below a folder: one row per strategy, one column per task."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from diffperc.errors import DataError
from diffperc.reports.tables import comparison, read_summaries, write_table


def compare(cfg: DictConfig) -> None:
    """Read every run's summary, print the table, write it as csv and markdown.

    Raises:
        DataError: ``cfg.runs`` is not a folder, or holds no runs.
    """
    folder = Path(cfg.runs).expanduser()
    if not folder.is_dir():
        raise DataError(f"runs: there is no folder '{folder}'.")
    write_table(comparison(read_summaries(folder)), folder / "comparison", f"strategies by tasks, {folder}")
    print(f"written: {folder / 'comparison'}.csv, .md")
