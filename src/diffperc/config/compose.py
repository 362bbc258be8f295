"""Composing a configuration without Hydra's command line."""

from __future__ import annotations

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from diffperc.config.find import conf_dir


def composed(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """``conf/<config_name>.yaml`` with overrides such as ``strategy=vpd``; also inside a program that Hydra runs.

    Raises:
        HydraException: an override cannot be composed.
    """
    return composed_with_choices(config_name, overrides)[0]


def composed_with_choices(config_name: str, overrides: Sequence[str] = ()) -> tuple[DictConfig, dict[str, str]]:
    """As `composed`, with the choice of each group."""
    # Hydra has one configuration folder at a time; that of a running command is restored
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose(config_name, overrides=list(overrides), return_hydra_config=True)
    finally:
        GlobalHydra.instance().hydra = running
    choices = {group: str(choice) for group, choice in cfg.hydra.runtime.choices.items()}
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, choices


def task_of_dataset(arguments: Sequence[str]) -> str | None:
    """The task for which the data set on a command line has a protocol; None if a task is named or there is no protocol."""
    named = {}
    for argument in arguments:
        key, _, value = argument.partition("=")
        named[key] = value
    if "dataset" not in named or not named.keys().isdisjoint({"task", "experiment"}):
        return None
    for task in sorted((conf_dir() / "task").glob("*.yaml")):
        if (conf_dir() / "protocol" / "dataset" / f"{task.stem}_{named['dataset']}.yaml").is_file():
            return task.stem
    return None
