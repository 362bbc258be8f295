"""What of a configuration is not as its choices have it, and where several configurations differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffperc.config.compose import composed

GROUPS = ("task", "strategy", "dataset", "backbone", "head")
"""The groups whose choices are columns of tables of runs."""
_OF_ONE_RUN = ("ckpt", "resume")
_POINTER = re.compile(r"\$\{([\w.]+)\}")


def changed_keys(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, tuple[str, str]] | None:
    """Keys that differ from the configuration that the choices alone give: the default, and the value.

    Args:
        cfg: of a training.
        choices: by group.

    Returns:
        None where there is nothing to compare with: no choices, or some of the user's own, which are not in ``conf/``.
    """
    if not choices:
        return None
    wanted = [f"{group}={choice}" for group, choice in choices.items() if choice not in ("None", "null")]
    try:
        default = composed("train", wanted)
        defaults = flat(default)
    except (HydraException, OmegaConfBaseException):
        return None
    here = flat(cfg)
    repeated = _repeated(default, here)
    keys = [key for key in {**defaults, **here} if key.partition(".")[0] not in _OF_ONE_RUN and key not in repeated]
    return {key: (defaults.get(key, ""), here.get(key, "")) for key in keys if defaults.get(key) != here.get(key)}


def differing(configs: Mapping[str, DictConfig]) -> dict[str, dict[str, str]]:
    """By name, the keys whose values are not the same in all configurations."""
    each = {name: flat(cfg) for name, cfg in configs.items()}
    default = composed("train")
    keys = {key: None for values in each.values() for key in values if key not in _repeated(default, values)}
    several = [key for key in keys if len({values.get(key) for values in each.values()}) > 1]
    return {name: {key: values.get(key, "") for key in several} for name, values in each.items()}


def _repeated(default: DictConfig, here: Mapping[str, str]) -> set[str]:
    """Keys that only repeat another one, such as optimizer.lr, which is that of the recipe unless it is set."""
    found = {key: _POINTER.fullmatch(value) for key, value in flat(default, resolve=False).items()}
    return {key for key, pointer in found.items() if pointer and here.get(key) == here.get(pointer[1])}


def flat(cfg: DictConfig, resolve: bool = True) -> dict[str, str]:
    """Every value as text, by its key with dots; a list is one value; without `resolve`, references as they are written."""
    found: dict[str, str] = {}

    def visit(node: Any, key: str) -> None:
        if isinstance(node, dict) and node:
            for name, value in node.items():
                visit(value, f"{key}.{name}" if key else str(name))
        else:
            found[key] = "null" if node is None else str(node)

    visit(OmegaConf.to_container(cfg, resolve=resolve), "")
    return found
