"""``python -m diffperc.benchmark``: time and memory of a model, beside plain ways of computing the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Measure one model."""
    from diffperc.commands.benchmark import benchmark

    benchmark(cfg)


if __name__ == "__main__":
    entry("benchmark", run)
