"""``python -m diffperc.estimate``: memory, time and disk of a training, before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Estimate one training."""
    from diffperc.commands.estimate import estimate

    estimate(cfg)


if __name__ == "__main__":
    entry("estimate", run)
