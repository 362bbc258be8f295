"""``python -m diffperc.demo``: a web page to try models on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Offer the page until it is stopped."""
    from diffperc.commands.demo import offer

    offer(cfg)


if __name__ == "__main__":
    entry("demo", run)
