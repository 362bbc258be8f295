"""Checking a composed configuration before anything is built: all problems at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffperc.config.find import conf_dir
from diffperc.config.signatures import SIMPLE, signature_of, type_problem
from diffperc.errors import ConfigError, did_you_mean

_HYDRA_KEYS = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
# of a node, what `build` takes out of it before the rest becomes arguments
_EXTRA_KEYS = {"dataset": {"protocols"}, "task": {"protocol"}}
_COUNTS = {"seed": 0, "num_workers": 0, "recipe.batch_size": 1, "recipe.eval_batch_size": 1}


def validate(cfg: DictConfig) -> None:
    """Compare every ``_target_`` node with the signature of what it names.

    Raises:
        ConfigError: lists every missing value, unknown class, unknown or missing key, and value of a wrong type; before
            them counts such as the batch size, and targets that the data set does not have.
    """
    _check_counts(cfg)
    _check_target(cfg)
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
        if type(usual) not in SIMPLE or key.startswith("hydra.") or any(part.isdigit() for part in key.split(".")):
            continue
        value = OmegaConf.select(cfg, key)
        least = 1 if type(usual) is int and key not in may_be_zero else 0
        problems += _value_problem(key, value, type(usual), least)
    if problems:
        raise ConfigError("\n".join(problems))


def _value_problem(key: str, value: Any, kind: type, least: int) -> list[str]:
    problem = type_problem(kind, value)
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


def _check_target(cfg: DictConfig) -> None:
    """What the task needs against what the data set has; first of all, as numbers of a recipe depend on both."""
    try:
        task, dataset = (get_object(str(OmegaConf.select(cfg, f"{node}._target_"))) for node in ("task", "dataset"))
        offered = dataset.offers(task.target)
    except Exception:  # a wrong class is reported with all other problems
        return
    if offered:
        return
    others = []
    for file in sorted((conf_dir() / "dataset").glob("*.yaml")):
        kind = get_object(str(OmegaConf.select(OmegaConf.load(file), "_target_")))
        if kind.offers(task.target):
            others.append(file.stem)
    raise ConfigError(
        f"task={task.name} needs the target '{task.target.name}', which the data set {dataset.__name__} does not have; it "
        f"has {', '.join(sorted(dataset.provides)) or 'others'}. Data sets that do: {', '.join(others)}."
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
        signature = signature_of(get_object(target))
    except Exception as error:  # hydra wraps whatever importing raised
        return [f"{path}: '{target}' cannot be imported ({str(error).splitlines()[-1]})"]
    takes = signature.parameters.keys() - signature.supplied
    problems = []
    for key, value in node.items():
        if key in _HYDRA_KEYS or key in _EXTRA_KEYS.get(path, ()):
            continue
        if key in takes:
            problems += _annotation_problem(path, key, signature.parameters[key].annotation, value)
        elif key in signature.parameters or not signature.open_ended:
            problems.append(f"{path}.{key}: {target} takes no '{key}'{did_you_mean(key, takes)}")
    if node.get("_partial_"):  # the rest is given when it is called
        return problems
    given = node.keys() | signature.supplied | _EXTRA_KEYS.get(path, set())
    for name, parameter in signature.parameters.items():
        if parameter.required and name not in given:
            problems.append(f"{path}.{name}: is needed by {target} and missing")
    return problems


def _annotation_problem(path: str, key: str, annotation: Any, value: Any) -> list[str]:
    is_open = isinstance(value, str) and (value == "???" or "${" in value)
    problem = None if is_open else type_problem(annotation, value)
    return [f"{path}.{key}: must be {problem}, found {value!r}"] if problem else []
