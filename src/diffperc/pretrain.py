"""``python -m diffperc.pretrain``: a small latent diffusion model from nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """All stages, or those that are named."""
    from diffperc.engine.trainer import quiet_lightning
    from diffperc.pretraining import pretrain

    quiet_lightning()
    pretrain(cfg)


if __name__ == "__main__":
    entry("pretrain", run)
