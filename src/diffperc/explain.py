"""``python -m diffperc.explain ckpt=... input=...``: what a model looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Explain every image the input names."""
    from diffperc.commands.explain import explain_files

    explain_files(cfg)


if __name__ == "__main__":
    entry("explain", run)
