"""``python -m diffperc.export``: a model as a file that other programs run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Export a checkpoint."""
    from diffperc.commands.export import export_checkpoint

    export_checkpoint(cfg)


if __name__ == "__main__":
    entry("export", run)
