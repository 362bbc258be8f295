"""``python -m diffperc.predict ckpt=... input=...``: predict images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Predict every image the input names."""
    from diffperc.commands.predict import predict_files

    predict_files(cfg)


if __name__ == "__main__":
    entry("predict", run)
