"""Keys that nothing reads, whether typed with or without ``+``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from diffperc.config.find import conf_dir
from diffperc.config.nodes import nodes_of
from diffperc.errors import did_you_mean, nearest

_POINTER = re.compile(r"\$\{(?:oc\.select:)?([\w.]+)")
# numbers that the program reads itself; all others of a recipe are read by what points to them
_RECIPE = ("batch_size", "eval_batch_size")
_CROP = "preprocessing.crop"
_NAMED = ("callbacks", "logger")
"""Nodes whose keys are names, each of one object."""


def unread_problems(cfg: DictConfig, config_name: str, overrides: Sequence[str] = ()) -> list[str]:
    """A sentence for each key that nothing reads.

    Keys of a class's own node are compared with its arguments by `validate`.

    Args:
        cfg: composed from ``conf/<config_name>.yaml``.
        config_name: such as ``train``.
        overrides: as typed, such as ``+recipe.lr=1e-3``.
    """
    content: Any = OmegaConf.to_container(cfg, resolve=False)
    paths = [path for path, _ in nodes_of(content, "")]
    problems = list(_unknown(content, known_keys(config_name), "", paths))
    problems += _unread_by_hydra(overrides)
    for name in _NAMED:
        problems += _not_objects(name, content.get(name) or {})
    if "recipe" in content:
        problems += _unread_numbers(content, overrides)
    return problems


def known_keys(config_name: str) -> dict[str, Any]:
    """The keys of ``conf/<config_name>.yaml``, with those of its groups and of what it is based on.

    The value of a group is empty: its keys are those of the chosen file.
    """
    content: Any = OmegaConf.to_container(OmegaConf.load(conf_dir() / f"{config_name}.yaml"), resolve=False)
    known: dict[str, Any] = {}
    for entry in content.pop("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            known |= known_keys(entry)
        elif isinstance(entry, dict):
            name = next(iter(entry)).removeprefix("optional ").removeprefix("override ")
            known |= {} if "/" in name else {name: {}}
    content.pop("hydra", None)
    known.update(content)
    return known


def _unknown(node: dict[str, Any], known: dict[str, Any], path: str, paths: Sequence[str]) -> Iterator[str]:
    for key, value in node.items():
        here = f"{path}.{key}" if path else str(key)
        if key not in known:
            yield f"{here}: nothing reads this key{_meant(str(key), known, [path for path in paths if path != here])}"
        elif isinstance(value, dict) and known[key]:
            yield from _unknown(value, known[key], here, paths)


def _meant(key: str, known: Iterable[str], paths: Sequence[str]) -> str:
    """A clause: the nearest of the keys beside it, or else a key of that name anywhere."""
    same = [path for path in paths if "." in path and path.rpartition(".")[2] == key]
    if same:
        return f"; did you mean '{min(same, key=len)}'?"
    elsewhere = [
        path for path in paths if "." in path and path.rpartition(".")[2] in nearest(key, [path.rpartition(".")[2]])
    ]
    if elsewhere and not nearest(key, known):
        return f"; did you mean '{elsewhere[0]}'?"
    return did_you_mean(key, known)


def _unread_by_hydra(overrides: Sequence[str]) -> Iterator[str]:
    """Hydra takes any key behind ``+hydra.``; its first two levels are fixed."""
    for key in typed_keys(overrides):
        first, *parts = key.split(".")
        node: Any = HydraConf if first == "hydra" else None
        for part in parts[:2]:
            fields = {field.name: field for field in dataclasses.fields(node)} if dataclasses.is_dataclass(node) else {}
            if fields and part not in fields:
                yield f"{key}: Hydra has no such key{did_you_mean(part, fields)}"
                break
            node = fields[part].default_factory if fields else None


def typed_keys(overrides: Sequence[str]) -> list[str]:
    """The keys of overrides, without ``+`` and ``~``."""
    return [str(OverridesParser.create().parse_override(override).key_or_group) for override in overrides]


def _not_objects(name: str, node: dict[str, Any]) -> Iterator[str]:
    for key, value in node.items():
        if value is not None and not (isinstance(value, dict) and "_target_" in value):
            yield f"{name}.{key}: nothing reads this key; below {name} each key names an object, {name}.{key}._target_=..."


def _unread_numbers(content: dict[str, Any], overrides: Sequence[str]) -> Iterator[str]:
    """Keys to which nothing points, of those that were typed and are read by what points to them alone."""
    pointers = {pointer for value in _texts(content) for pointer in _POINTER.findall(value)}
    read = {*_RECIPE, *(pointer.split(".")[1] for pointer in pointers if pointer.startswith("recipe."))}
    for key in typed_keys(overrides):
        if key == _CROP and key not in pointers:
            yield f"{key}: no transform of preprocessing.augment reads it; leave it out, or add a crop there."
        parts = key.split(".")
        if parts[0] == "recipe" and len(parts) > 1 and parts[1] not in read and parts[1] in content["recipe"]:
            yield f"{'.'.join(parts)}: nothing in this configuration reads recipe.{parts[1]}{did_you_mean(parts[1], read)}"


def _texts(node: Any) -> Iterator[str]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from [child] if isinstance(child, str) else _texts(child)
