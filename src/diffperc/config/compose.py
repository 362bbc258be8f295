"""Composing a configuration without a command line."""

from __future__ import annotations

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from diffperc.config.find import conf_dir


def composed(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """``conf/<config_name>.yaml`` with overrides such as ``strategy=vpd``; also inside a program that Hydra runs.

    Raises:
        HydraException: an override cannot be composed.
    """
    # Hydra knows one configuration folder at a time; that of a running entry point is put back
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return compose(config_name, overrides=list(overrides))
    finally:
        GlobalHydra.instance().hydra = running
