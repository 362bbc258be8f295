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
from diffperc.config.unread import known_keys
from diffperc.errors import did_you_mean

_FOLDER_FLAGS = ("--config-dir", "-cd")
# Hydra's options that are followed by a value
_WITH_VALUE = (*_FOLDER_FLAGS, "--config-name", "-cn", "--config-path", "-cp", "--package", "-p", "--cfg", "-c")
# groups without which a command runs
_OPTIONAL = ("debug", "experiment", "hparams_search", "protocol")


def explain_overrides(conf: Path, config_name: str, overrides: Sequence[str]) -> list[str]:
    """Problems of overrides that Hydra could not compose; empty if none is recognised.

    Args:
        conf: the configuration folder.
        config_name: ``train``, ``evaluate`` or ``predict``.
        overrides: as typed, such as ``strategy=vpd``.
    """
    problems: list[str] = []
    good_groups: list[str] = []
    values: list[Override] = []
    folders = [conf, *further_folders(overrides)]
    for text in without_flags(overrides):
        override = _parsed(text, problems)
        if override is None:
            continue
        choices = _choices(folders, override.key_or_group)
        if choices is None:
            values.append(override)
            continue
        wrong = _group_problems(text, override, choices) or _foreign_group(config_name, override)
        problems += wrong
        if not wrong:
            good_groups.append(text)
    return problems + _key_problems(values, _known_keys(config_name, good_groups))


def without_flags(arguments: Sequence[str]) -> list[str]:
    """Without options such as ``-m``, and without the values of options, such as the folder behind ``--config-dir``."""
    kept = []
    previous = ""
    for argument in arguments:
        is_value = previous in _WITH_VALUE or (previous in ("--info", "-i") and "=" not in argument)
        if not argument.startswith("-") and not is_value:
            kept.append(argument)
        previous = argument
    return kept


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Options before overrides: Hydra's parser takes no override that stands behind an option if others stand before it."""
    overrides = without_flags(arguments)
    flags = list(arguments)
    for override in overrides:
        flags.remove(override)
    return [*flags, *overrides]


def further_folders(arguments: Sequence[str]) -> list[Path]:
    """The folders that ``--config-dir`` names."""
    return [Path(folder) for flag, folder in itertools.pairwise(arguments) if flag in _FOLDER_FLAGS]


def _parsed(text: str, problems: list[str]) -> Override | None:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        problems.append(f"'{text}' cannot be read as key=value: {str(error).splitlines()[0]}")
        return None


def _choices(folders: Sequence[Path], group: str) -> list[str] | None:
    """The choices of a group, None if it is none."""
    places = [folder / group for folder in folders if (folder / group).is_dir()]
    if not places:
        return None
    names: set[str] = set()
    for place in places:
        names |= {file.stem for file in place.glob("*.yaml")}
    return sorted(names)


def _group_problems(text: str, override: Override, choices: Sequence[str]) -> list[str]:
    group, problems = override.key_or_group, []
    for name in _chosen(override):
        if name is None and group in _OPTIONAL:
            continue
        if name is None:
            problems.append(f"{text}: name a choice: {', '.join(choices)}")
        elif name not in choices:
            problems.append(f"{group}={name}: there is no such {group}{did_you_mean(name, choices)}")
    return problems


def _foreign_group(config_name: str, override: Override) -> list[str]:
    """A group that the command does not have."""
    group = override.key_or_group
    groups = [name for name, value in known_keys(config_name).items() if value == {}]
    if group in groups or "/" in str(group) or "@" in str(override.input_line):
        return []
    return [f"{override.input_line}: {config_name} has no group '{group}'{did_you_mean(group, groups)}"]


def _chosen(override: Override) -> list[str | None]:
    """The names of a choice, of a list such as [tensorboard,wandb], or of a sweep."""
    if override.is_sweep_override():
        return [str(value) for value in override.sweep_string_iterator()]
    value = override.value()
    values = value if isinstance(value, list) else [value]
    return [None if value is None else str(value) for value in values]


def _key_problems(values: Sequence[Override], keys: set[str]) -> list[str]:
    problems = []
    for override in values:
        key = override.key_or_group
        may_be_new = override.is_add() or key.startswith("hydra.")
        if keys and key not in keys and not may_be_new:
            near = [known for known in keys if known.count(".") <= key.count(".") + 1]
            named = [known for known in keys if "." not in key and known.rpartition(".")[2] == key]
            meant = f"; did you mean '{min(named, key=len)}'?" if named else _nearest(key, near)
            problems.append(f"{override.input_line}: there is no key '{key}' in this configuration{meant}")
    return problems


def _known_keys(config_name: str, groups: Sequence[str]) -> set[str]:
    """Empty where the groups cannot be composed, for example because they are a sweep."""
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
    siblings = []
    for known in keys:
        known_parent, _, known_name = known.rpartition(".")
        if known_parent == parent:
            siblings.append(known_name)
    if not siblings:
        return did_you_mean(key, [known for known in keys if "." not in known])
    where = f" (under {parent})" if parent else ""
    return did_you_mean(name, siblings) + where
