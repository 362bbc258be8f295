"""What was wrong with the overrides of a command line, in the user's words: all of them at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffperc.config.compose import composed
from diffperc.errors import did_you_mean

_FOLDER_FLAGS = ("--config-dir", "-cd")


def explain_overrides(conf: Path, config_name: str, overrides: Sequence[str]) -> list[str]:
    """Problems of overrides that Hydra could not compose; empty if none is recognised.

    Args:
        conf: the configuration folder.
        config_name: ``train``, ``evaluate`` or ``predict``.
        overrides: as typed, such as ``strategy=vpd``.
    """
    parser = OverridesParser.create()
    problems, groups, values = [], [], []
    folders = [conf, *further_folders(overrides)]
    for text in without_flags(overrides):
        try:
            override = parser.parse_override(text)
        except HydraException as error:
            problems.append(f"'{text}' cannot be read as key=value: {str(error).splitlines()[0]}")
            continue
        known = _options(folders, override.key_or_group)
        if known is None:
            values.append((text, override))
            continue
        wrong = [o for o in _chosen(override) if o is not None and o not in known]
        problems += [
            f"{override.key_or_group}={o}: there is no such {override.key_or_group}{did_you_mean(o, known)}"
            for o in wrong
        ]
        if None in _chosen(override):
            problems.append(f"{text}: name a choice: {', '.join(known)}")
        elif not wrong:
            groups.append(f"{override.key_or_group}={_chosen(override)[0]}")
    keys = _known_keys(config_name, groups)
    for text, override in values:
        key = override.key_or_group
        if keys and key not in keys and not override.is_add() and not key.startswith("hydra."):
            near = [k for k in keys if k.count(".") <= key.count(".") + 1]
            problems.append(f"{text}: there is no key '{key}' in this configuration{_nearest(key, near)}")
    return problems


def without_flags(arguments: Sequence[str]) -> list[str]:
    """Without options such as ``-m``, and without the folder behind ``--config-dir``."""
    behind = {i + 1 for i, a in enumerate(arguments) if a in _FOLDER_FLAGS}
    return [a for i, a in enumerate(arguments) if not a.startswith("-") and i not in behind]


def further_folders(arguments: Sequence[str]) -> list[Path]:
    pairs = itertools.pairwise(arguments)
    return [Path(folder) for flag, folder in pairs if flag in _FOLDER_FLAGS]


def _options(folders: Sequence[Path], group: str) -> list[str] | None:
    """The choices of a group, None if it is none."""
    found = [folder / group for folder in folders if (folder / group).is_dir()]
    return sorted({f.stem for folder in found for f in folder.glob("*.yaml")}) if found else None


def _chosen(override: Override) -> list[str | None]:
    if override.is_sweep_override():
        return [str(v) for v in override.sweep_string_iterator()]
    value = override.value()
    return [None if value is None else str(value)]


def _known_keys(config_name: str, groups: Sequence[str]) -> set[str]:
    try:
        cfg = composed(config_name, groups)
    except (HydraException, OmegaConfBaseException):
        return set()
    return set(_paths(OmegaConf.to_container(cfg, resolve=False), ""))


def _paths(node: Any, path: str) -> Iterable[str]:
    if path:
        yield path
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _paths(child, f"{path}.{key}" if path else str(key))


def _nearest(key: str, keys: Sequence[str]) -> str:
    """Siblings of the key if its parent exists, else the nearest of all."""
    parent, _, name = key.rpartition(".")
    siblings = [k.rpartition(".")[2] for k in keys if k.rpartition(".")[0] == parent]
    if siblings:
        return did_you_mean(name, siblings) + (f" (under {parent})" if parent else "")
    return did_you_mean(key, [k for k in keys if "." not in k])
