"""Checking a composed configuration before anything is built: all problems at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffperc.config.find import conf_dir
from diffperc.config.signatures import SIMPLE, Signature, signature_of, type_problem
from diffperc.errors import ConfigError, did_you_mean

_HYDRA_KEYS = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
_COUNTS = {"seed": 0, "num_workers": 0, "eval_batch_size": 1, "recipe.batch_size": 1, "recipe.eval_batch_size": 1}


def validate(cfg: DictConfig) -> None:
    """Compare every ``_target_`` node with the signature of what it names.

    Raises:
        ConfigError: lists every missing value, unknown class, unknown or missing key, and value of a wrong type; before
            them counts such as the batch size, and targets that the data set does not have.
    """
    validate_counts(cfg)
    _raise(_target_problems(cfg))
    # without resolving: what points to a missing value cannot be resolved, and is then checked by its keys alone
    written = nodes_of(OmegaConf.to_container(cfg, resolve=False), "")
    missing = sorted(path for path, node in written if node == "???")
    problems = [f"{key} has no value; set {key}=..." for key in missing]
    try:
        content = OmegaConf.to_container(cfg, resolve=not missing)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    for path, node in nodes_of(content, ""):
        if isinstance(node, dict) and "_target_" in node:
            problems += _node_problems(path, node)
    _raise(problems)


def validate_like(cfg: DictConfig, config_name: str, may_be_zero: Collection[str] = ()) -> None:
    """Compare every value with the kind of that in ``conf/<config_name>.yaml``; whole numbers are counts.

    Raises:
        ConfigError: lists every value of another kind, every count below 1 (0 for those in ``may_be_zero``), and every
            negative number.
    """
    problems = []
    usual = OmegaConf.to_container(OmegaConf.load(conf_dir() / f"{config_name}.yaml"))
    for key, value in nodes_of(usual, ""):
        in_a_list = any(part.isdigit() for part in key.split("."))  # which may be shorter here
        if type(value) in SIMPLE and not in_a_list and not key.startswith("hydra."):
            least = 1 if type(value) is int and key not in may_be_zero else 0
            problems += _value_problems(key, OmegaConf.select(cfg, key), type(value), least)
    _raise(problems)


def _raise(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))


def _value_problems(key: str, value: Any, kind: type, least: int) -> list[str]:
    problem = type_problem(kind, value)
    if problem:
        return [f"{key}: must be {problem}, found {value!r}"]
    if isinstance(value, int | float) and value < least:
        return [f"{key}={value}: must be at least {least}."]
    return []


def validate_counts(cfg: DictConfig) -> None:
    """Check the numbers that belong to no class, such as batch sizes; other numbers follow from them.

    Raises:
        ConfigError: lists every one that is too small or no whole number.
    """
    problems = []
    for key, least in _COUNTS.items():
        value = OmegaConf.select(cfg, key)
        if value is not None:
            problems += _value_problems(key, value, int, least)
    for key in ("recipe.steps", "recipe.epochs"):
        if OmegaConf.select(cfg, key) == 0:
            problems.append(f"{key}=0: nothing would be trained; give at least 1, or -1 where the other one counts.")
    _raise(problems)


def _target_problems(cfg: DictConfig) -> list[str]:
    """What the task needs against what the data set has; first of all, as numbers of a recipe depend on both."""
    try:
        task = get_object(str(OmegaConf.select(cfg, "task._target_")))
        dataset = get_object(str(OmegaConf.select(cfg, "dataset._target_")))
        offered = dataset.offers(task.target)
    except Exception:  # a wrong class is reported with all other problems
        return []
    if offered:
        return []
    has = ", ".join(sorted(dataset.provides)) or "others"
    return [
        f"task={task.name} needs the target '{task.target.name}', which the data set {dataset.__name__} does not have; it "
        f"has {has}. Data sets that do: {', '.join(_datasets_with(task.target))}."
    ]


def _datasets_with(target: Any) -> list[str]:
    names = []
    for file in sorted((conf_dir() / "dataset").glob("*.yaml")):
        kind = get_object(str(OmegaConf.select(OmegaConf.load(file), "_target_")))
        if kind.offers(target):
            names.append(file.stem)
    return names


def nodes_of(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every node with its dotted path, the root first."""
    yield path, node
    children: Any = ()
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, list):
        children = enumerate(node)
    for key, child in children:
        yield from nodes_of(child, f"{path}.{key}" if path else str(key))


def _node_problems(path: str, node: Mapping[str, Any]) -> list[str]:
    target = str(node["_target_"])
    try:
        signature = signature_of(get_object(target))
    except Exception as error:  # hydra wraps whatever importing raised
        return [f"{path}: '{target}' cannot be imported ({str(error).splitlines()[-1]})"]
    problems = []
    for key in [key for key in node if key not in _HYDRA_KEYS]:
        problems += _key_problems(path, key, node[key], target, signature)
    if node.get("_partial_"):  # the rest is given when it is called
        return problems
    return problems + _missing_problems(path, node.keys() | signature.supplied, target, signature)


def _key_problems(path: str, key: str, value: Any, target: str, signature: Signature) -> list[str]:
    takes = signature.parameters.keys() - signature.supplied
    if key not in takes:
        if signature.open_ended and key not in signature.parameters:
            return []
        return [f"{path}.{key}: {target} takes no '{key}'{did_you_mean(key, takes)}"]
    is_open = isinstance(value, str) and (value == "???" or "${" in value)
    problem = None if is_open else type_problem(signature.parameters[key].annotation, value)
    return [f"{path}.{key}: must be {problem}, found {value!r}"] if problem else []


def _missing_problems(path: str, given: Collection[str], target: str, signature: Signature) -> list[str]:
    problems = []
    for name, parameter in signature.parameters.items():
        if parameter.required and name not in given:
            problems.append(f"{path}.{name}: is needed by {target} and missing")
    return problems
