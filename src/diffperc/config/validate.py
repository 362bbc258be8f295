"""Checking a composed configuration before anything is built: all problems at once."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffperc.config.find import conf_dir
from diffperc.errors import ConfigError, did_you_mean

# what build.py adds to a node; the rest must come from the yaml
BUILT = {
    "strategy": {"backbone", "text"},
    "head": {"spec", "out_channels"},
    "task": {"model", "info", "optimizer", "provenance"},
    "dataset": {"split", "needs"},
    "logger": {"save_dir"},
    "trainer": {"logger", "callbacks"},
}
_HYDRA_KEYS = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
_COUNTS = {"seed": 0, "num_workers": 0, "recipe.batch_size": 1, "recipe.eval_batch_size": 1}
_SIMPLE = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def validate(cfg: DictConfig) -> None:
    """Compare every ``_target_`` node with the signature of what it names.

    Raises:
        ConfigError: lists every missing value, unknown class, unknown or missing key, and value of a wrong type; before
            them counts such as the batch size, and truths that the data set does not have.
    """
    _check_counts(cfg)
    _check_truths(cfg)
    # without resolving: what points to a missing value cannot be resolved, and is then checked by its keys alone
    missing = sorted(path for path, node in _nodes(OmegaConf.to_container(cfg, resolve=False), "") if node == "???")
    problems = [f"{key} has no value; set {key}=..." for key in missing]
    try:
        content = OmegaConf.to_container(cfg, resolve=not missing)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    for path, node in _nodes(content, ""):
        if isinstance(node, dict) and "_target_" in node:
            problems += _node_problems(path, node)
    if problems:
        raise ConfigError("\n".join(problems))


def validate_like(cfg: DictConfig, config_name: str, may_be_zero: Collection[str] = ()) -> None:
    """Compare every value with the kind of that in ``conf/<config_name>.yaml``; whole numbers are counts.

    Raises:
        ConfigError: lists every value of another kind, every count below 1 (0 for those in ``may_be_zero``), and every
            negative number.
    """
    problems = []
    for key, usual in _nodes(OmegaConf.to_container(OmegaConf.load(conf_dir() / f"{config_name}.yaml")), ""):
        if type(usual) not in _SIMPLE or key.startswith("hydra.") or any(part.isdigit() for part in key.split(".")):
            continue
        value = OmegaConf.select(cfg, key)
        least = 1 if type(usual) is int and key not in may_be_zero else 0
        problems += _value_problem(key, value, type(usual), least)
    if problems:
        raise ConfigError("\n".join(problems))


def _value_problem(key: str, value: Any, kind: type, least: int) -> list[str]:
    problem = _type_problem(kind, value)
    if problem:
        return [f"{key}: must be {problem}, found {value!r}"]
    return [f"{key}={value}: must be at least {least}."] if isinstance(value, int | float) and value < least else []


def _check_counts(cfg: DictConfig) -> None:
    """Numbers that belong to no class; before all else, as other numbers follow from them."""
    given = {key: OmegaConf.select(cfg, key) for key in _COUNTS}
    problems = [
        p for key, value in given.items() if value is not None for p in _value_problem(key, value, int, _COUNTS[key])
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def _check_truths(cfg: DictConfig) -> None:
    """What the task needs against what the data set has; first of all, as numbers of a recipe depend on both."""
    targets = [OmegaConf.select(cfg, f"{node}._target_") for node in ("task", "dataset")]
    try:
        task, dataset = (get_object(str(target)) for target in targets)
        needs, has = set(task.requires), set(dataset.provides)
    except Exception:  # a wrong class is reported with all other problems
        return
    if needs <= has:
        return
    others = []
    for file in sorted((conf_dir() / "dataset").glob("*.yaml")):
        kind = get_object(str(OmegaConf.select(OmegaConf.load(file), "_target_")))
        others += [file.stem] if needs <= set(kind.provides) else []
    raise ConfigError(
        f"task={task.name} needs {' and '.join(sorted(needs))}, which the data set {dataset.__name__} does not have; it "
        f"has {', '.join(sorted(has))}. Data sets that do: {', '.join(others)}."
    )


def _nodes(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every node with its dotted path, the root first."""
    yield path, node
    children: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _nodes(child, f"{path}.{key}" if path else str(key))


def _node_problems(path: str, node: Mapping[str, Any]) -> list[str]:
    target = str(node["_target_"])
    try:
        callable_ = get_object(target)
    except Exception as error:  # hydra wraps whatever importing raised
        return [f"{path}: '{target}' cannot be imported ({str(error).splitlines()[-1]})"]
    parameters, open_ended = _parameters(callable_)
    built = BUILT.get(path, set())
    problems = []
    for key, value in node.items():
        if key in _HYDRA_KEYS:
            continue
        if key in built or (key not in parameters and not open_ended):
            problems.append(f"{path}.{key}: {target} takes no '{key}'{did_you_mean(key, parameters.keys() - built)}")
        elif key in parameters and not (isinstance(value, str) and (value == "???" or "${" in value)):
            problem = _type_problem(parameters[key][1], value)
            problems += [f"{path}.{key}: must be {problem}, found {value!r}"] if problem else []
    required = [name for name, (needed, _) in parameters.items() if needed and name not in node and name not in built]
    return problems + [f"{path}.{name}: is needed by {target} and missing" for name in required]


def _parameters(callable_: Callable[..., Any]) -> tuple[dict[str, tuple[bool, Any]], bool]:
    """By name: whether it is required, and its annotation. A class that passes **kwargs on is followed upwards.

    What a base class requires is its subclass's business.
    """
    found: dict[str, tuple[bool, Any]] = {}
    if not inspect.isclass(callable_):
        return _own_parameters(callable_, found), False
    for base in callable_.__mro__:
        init = base.__dict__.get("__init__")
        if init is None or base is object:
            continue
        inherited = bool(found)
        for name, (needed, annotation) in _own_parameters(init, {}).items():
            found.setdefault(name, (needed and not inherited, annotation))
        if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(init).parameters.values()):
            return found, False
    return found, True


def _own_parameters(function: Callable[..., Any], found: dict[str, tuple[bool, Any]]) -> dict[str, tuple[bool, Any]]:
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # a foreign annotation that cannot be resolved is only not checked
        hints = {}
    for p in inspect.signature(function).parameters.values():
        if p.name != "self" and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            found.setdefault(p.name, (p.default is p.empty, hints.get(p.name, Any)))
    return found


def _type_problem(annotation: Any, value: Any) -> str | None:
    """What the value should have been, for simple annotations; None if it fits or cannot be told."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        options = [_type_problem(a, value) for a in typing.get_args(annotation)]
        return None if None in options else " or ".join(o for o in options if o)
    if annotation is type(None):
        return None if value is None else "null"
    if annotation not in _SIMPLE:
        return None
    if annotation is float:
        good = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        good = type(value) is annotation
    return None if good else _SIMPLE[annotation]
