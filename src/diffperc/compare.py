"""``python -m diffperc.compare runs=...``: strategies by tasks, from the runs below a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Compare all runs."""
    from diffperc.commands.compare import compare

    compare(cfg)


if __name__ == "__main__":
    entry("compare", run)
