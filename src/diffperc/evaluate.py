"""``python -m diffperc.evaluate ckpt=...``: score checkpoints by the protocol they were trained with, or by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc import evaluate as function
from diffperc.config.cli import call_as, entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Score every checkpoint; several end in one table."""
    from diffperc.commands.evaluate import evaluate

    evaluate(cfg)


if __name__ == "__main__":
    entry("evaluate", run)
else:
    call_as(__name__, function)
