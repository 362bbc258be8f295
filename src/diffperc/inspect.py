"""``python -m diffperc.data inspect dataset=...``: look a data set through before training on it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from diffperc.config.cli import entry
from diffperc.config.compose import task_of_dataset

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Check the configuration, then the data."""
    from diffperc.config.validate import validate

    validate(cfg)
    from diffperc.commands.inspect import inspect

    inspect(cfg)


def main(arguments: list[str]) -> None:
    """Run it with the arguments of a command line."""
    task = task_of_dataset(arguments)
    sys.argv = [sys.argv[0], *arguments, *([f"task={task}"] if task is not None else [])]
    entry("inspect", run)


if __name__ == "__main__":
    main(sys.argv[1:])
