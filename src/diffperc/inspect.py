"""``python -m diffperc.inspect dataset=...``: check a data set before training on it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from diffperc.config.cli import entry
from diffperc.config.compose import task_of_dataset

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Check the data."""
    from diffperc.commands.inspect import inspect

    inspect(cfg)


def main(arguments: list[str]) -> None:
    """Run the command with the arguments of a command line."""
    sys.argv = [sys.argv[0], *arguments]
    task = task_of_dataset(arguments)
    if task is not None:
        sys.argv.append(f"task={task}")
    entry("inspect", run)


if __name__ == "__main__":
    main(sys.argv[1:])
