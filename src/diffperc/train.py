"""``python -m diffperc.train``: train, validate, leave a run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc import train as function
from diffperc.config.cli import call_as, entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> float:
    """Do the work; returns the monitored metric, for optimising sweepers."""
    from diffperc.commands.train import train

    return train(cfg)


if __name__ == "__main__":
    entry("train", run)
else:
    call_as(__name__, function)
