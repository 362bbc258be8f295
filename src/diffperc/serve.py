"""``python -m diffperc.serve ckpt=...``: an HTTP server of predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Answer requests until it is stopped."""
    from diffperc.commands.serve import serve

    serve(cfg)


if __name__ == "__main__":
    entry("serve", run)
