"""``python -m diffperc.report run=...``: whether trainings went well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Write the report of a run, or of several."""
    from diffperc.commands.report import report

    report(cfg)


if __name__ == "__main__":
    entry("report", run)
