"""``python -m diffperc.convert vpd_depth.ckpt out=folder``: from the authors' checkpoint to one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry
from diffperc.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Read, import, print what was found, write."""
    for key in ("ckpt", "out", "text_encoder"):
        if cfg[key] in (None, ""):
            raise ConfigError(f"{key}: must not be empty, found {cfg[key]!r}.")
    from diffperc.commands.convert import convert

    convert(cfg)


if __name__ == "__main__":
    entry("convert", run, first="ckpt")
