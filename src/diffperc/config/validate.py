"""Checking a composed configuration before anything is built: all problems at once."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffperc.config.find import conf_dir
from diffperc.config.nodes import nodes_of
from diffperc.config.signatures import SIMPLE, Signature, fields_of, signature_of, value_problem
from diffperc.config.unread import typed_keys, unread_problems
from diffperc.errors import ConfigError, did_you_mean
from diffperc.ranges import Count, NotNegative, OnlyWith, Positive, Range, WholeNumber

_HYDRA_KEYS = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
_ABSENT = object()
_POINTER = re.compile(r"\$\{(recipe\.\w+)\}")
_Seed = Annotated[int, Range(0, 2**32 - 1)]
_OrMinusOne = Annotated[int, Range(1, also=-1)]
# numbers that belong to no class of ours
OWN_KEYS: dict[str, Any] = {
    "seed": _Seed | None,
    "num_workers": WholeNumber | Literal["auto"],
    "eval_batch_size": Count | None,
    "precision": Literal["auto", "32-true", "bf16-true", "16-true", "64-true", "bf16-mixed", "16-mixed"] | None,
    "optimize": bool,
    "compile": bool,
    "keep_latents": Annotated[float, Range(0, 1e6)],
    "views.count": Count | None,
    "views.folder": Annotated[str | None, OnlyWith("count")],
    "views.limit": Annotated[float, Range(0, 1e6), OnlyWith("count")],
    "batch_size": Count,
    "batch": Count,
    "train_images": Count | None,
    "image_size": tuple[Count, Count] | None,
    "rounds": Count,
    "training": bool,
    "reference": str | None,
    "trust": Sequence[str],
    "leave_out": WholeNumber,
    "inside": bool,
    "int8": bool,
    "calibration": Count,
    "score_images": Count,
    "video": bool,
    "smooth": Annotated[float, Range(0, 1, below=True)] | None,
    "fps": Positive | None,
    "detector_score": Annotated[float, Range(0, 1)] | None,
    "port": Annotated[int, Range(1, 65535)] | None,
    "wait": NotNegative,
    "queue": Count,
    "timeout": Positive,
    "max_bytes": Count,
    "max_pixels": Count,
    "report_images": WholeNumber,
    "ema_decay": Annotated[float, Range(0, 1, below=True)] | None,
    "images_at_once": Count | Literal["auto"] | None,
    "gpu_memory": Positive | None,
    "step_in_backward": bool,
    "resume": Literal["auto"] | None,
    "checkpoint.every_minutes": Positive | None,
    "checkpoint.on_failed_write": Literal["continue", "stop"],
    "recipe.batch_size": Count,
    "recipe.eval_batch_size": Count,
    "recipe.steps": _OrMinusOne,
    "recipe.epochs": _OrMinusOne,
    "recipe.val_every_steps": Count | None,
    "recipe.val_every_epochs": Count | None,
    "trainer.accelerator": Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"],
    "trainer.strategy": str | Mapping[str, Any],
    "trainer.devices": _OrMinusOne | str | Sequence[WholeNumber],
    "trainer.max_time": str | Mapping[str, Any] | None,
    "trainer.max_steps": _OrMinusOne,
    "trainer.max_epochs": _OrMinusOne | None,
    "trainer.accumulate_grad_batches": Count,
    "trainer.num_nodes": Count,
    # weights in float16 would not train: small updates are lost, and nothing scales the gradient
    "trainer.precision": Literal["auto", "32-true", "16-mixed", "bf16-mixed", "bf16-true", "64-true", "32", 32],
    "trainer.gradient_clip_val": NotNegative | None,
    "trainer.log_every_n_steps": Count,
    "trainer.val_check_interval": Annotated[float, Range(0, 1, above=True)] | Count | None,
    "trainer.check_val_every_n_epoch": Count | None,
    "trainer.num_sanity_val_steps": Annotated[int, Range(0, also=-1)] | None,
}


def validate(cfg: DictConfig, config_name: str = "train", overrides: Sequence[str] = ()) -> None:
    """Look for every key that nothing reads, and compare every ``_target_`` node with the signature of what it names.

    Args:
        cfg: composed from ``conf/<config_name>.yaml``.
        config_name: such as ``train``.
        overrides: as typed.

    Raises:
        ConfigError: lists every unread key, missing value, unknown class, unknown or missing argument, and value of a
            wrong type or out of its range; or alone, a target that the data set does not have.
    """
    _check_groups(cfg)
    problems = unread_problems(cfg, config_name, overrides)
    if "task" in cfg:
        problems += _task_problems(cfg, overrides)
    # without resolving: what points to a missing value cannot be resolved, and is then checked by its keys alone
    written = dict(nodes_of(OmegaConf.to_container(cfg, resolve=False), ""))
    missing = sorted(path for path, node in written.items() if node == "???")
    problems += [f"{key} has no value; set {key}=..." for key in missing]
    problems += _own_problems(OmegaConf.to_container(cfg, resolve=False))
    try:
        content = OmegaConf.to_container(cfg, resolve=not missing)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    reported = {problem.partition(":")[0] for problem in problems}
    for path, node in nodes_of(content, ""):
        if isinstance(node, dict) and "_target_" in node:
            found = _node_problems(path, node, written)
            problems += [problem for problem in found if problem.partition(":")[0] not in reported]
    problems += [
        problem for problem in _without_effect(content, overrides) if problem.partition(":")[0] not in reported
    ]
    _raise(problems)


def _check_groups(cfg: DictConfig) -> None:
    """Raise a `ConfigError` where a group's configuration was replaced by a single value, as in a file of one's own."""
    for group in ("task", "dataset", "backbone", "strategy", "head", "optimizer", "preprocessing", "recipe", "trainer"):
        node = cfg.get(group) if not OmegaConf.is_missing(cfg, group) else None
        if group in cfg and not isinstance(node, DictConfig):
            raise ConfigError(
                f"{group}: is {node!r} where its configuration belongs; choose it by {group}=... on the command line, or by "
                f"'- override {group}: ...' in the defaults of a file."
            )


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
            found = OmegaConf.select(cfg, key)
            problem = value_problem(Annotated[type(value), Range(least)], found)
            if problem:
                problems.append(f"{key}: must be {problem}, found {found!r}")
    _raise(problems)


def _raise(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))


def _own_problems(content: Any) -> list[str]:
    """Numbers that belong to no class of ours; what points to another key is reported there."""
    problems = []
    for key, annotation in OWN_KEYS.items():
        value = content
        for part in key.split("."):
            value = value.get(part, _ABSENT) if isinstance(value, dict) else _ABSENT
        is_open = value is _ABSENT or (isinstance(value, str) and (value == "???" or "${" in value))
        problem = None if is_open else value_problem(annotation, value)
        if problem:
            problems.append(f"{key}: must be {problem}, found {value!r}")
    recipe, trainer = content.get("recipe") or {}, content.get("trainer") or {}
    if recipe.get("steps") == recipe.get("epochs") == -1 and trainer.get("max_time") is None:
        problems.append("recipe.steps and recipe.epochs are both -1: training would never end; set one of them.")
    return problems


def _task_problems(cfg: DictConfig, overrides: Sequence[str]) -> list[str]:
    """Options of data set and preprocessing that have no meaning for the task.

    Raises:
        ConfigError: the data set lacks what the task needs; alone, because numbers of a recipe depend on both.
    """
    try:
        task, dataset, preprocess = (
            get_object(str(cfg[node]["_target_"])) for node in ("task", "dataset", "preprocessing")
        )
        offered = dataset.offers(task.target)
    except Exception:  # a wrong class is reported with all other problems
        return []
    if not offered:
        has = ", ".join(sorted(dataset.provides)) or "others"
        raise ConfigError(
            f"task={task.name} needs the target '{task.target.name}', which the data set {dataset.__name__} does not have; "
            f"it has {has}. Data sets that do: {', '.join(_datasets_with(task.target))}."
        )
    typed = typed_keys(overrides)
    keys = [f"dataset.{option}" for option in dataset.not_read(task.target)]
    keys += [f"preprocessing.{option}" for option in preprocess.not_read(task.target)]
    return [f"{key}: is not read for task={task.name}; leave it out." for key in keys if key in typed]


def _datasets_with(target: Any) -> list[str]:
    names = []
    for file in sorted((conf_dir() / "dataset").glob("*.yaml")):
        kind = get_object(str(OmegaConf.select(OmegaConf.load(file), "_target_")))
        if kind.offers(target):
            names.append(file.stem)
    return names


def _node_problems(path: str, node: Mapping[str, Any], written: Mapping[str, Any]) -> list[str]:
    target = str(node["_target_"])
    try:
        signature = signature_of(get_object(target))
    except Exception as error:  # hydra wraps whatever importing raised
        root = target.partition(".")[0]
        missing = (
            "; pip install 'diffperc[memory]'" if root in ("bitsandbytes", "optimi") and not find_spec(root) else ""
        )
        return [f"{path}: '{target}' cannot be imported ({str(error).splitlines()[-1]}){missing}"]
    problems = []
    for key in [key for key in node if key not in _HYDRA_KEYS]:
        # what points to another key is wrong there
        pointer = _POINTER.fullmatch(str(written.get(f"{path}.{key}")))
        where = pointer[1] if pointer else f"{path}.{key}"
        problems += _key_problems(where, key, node[key], target, signature)
    if node.get("_partial_"):  # the rest is given when it is called
        return problems
    return problems + _missing_problems(path, node.keys() | signature.supplied, target, signature)


def _key_problems(where: str, key: str, value: Any, target: str, signature: Signature) -> list[str]:
    takes = signature.parameters.keys() - signature.supplied
    if key not in takes:
        if signature.open_ended and key not in signature.parameters:
            return []
        return [f"{where}: {target} takes no '{key}'{did_you_mean(key, takes)}"]
    fields = fields_of(signature.parameters[key].annotation)
    if fields is not None and isinstance(value, dict):
        found = []
        for name, entry in value.items():
            found += _key_problems(f"{where}.{name}", name, entry, where, fields)
        return found
    is_open = where in OWN_KEYS or (isinstance(value, str) and (value == "???" or "${" in value))
    problem = None if is_open else value_problem(signature.parameters[key].annotation, value)
    return [f"{where}: must be {problem}, found {value!r}"] if problem else []


def _without_effect(content: Any, overrides: Sequence[str]) -> list[str]:
    """Arguments that were typed and are read only beside another, which is off."""
    nodes = dict(nodes_of(content, ""))
    problems = []
    for key in typed_keys(overrides):
        path, _, name = key.rpartition(".")
        node = nodes.get(path)
        if not (isinstance(node, dict) and name in node and ("_target_" in node or key in OWN_KEYS)):
            continue
        try:
            annotation = OWN_KEYS.get(key) or signature_of(get_object(node["_target_"])).parameters[name].annotation
        except Exception:  # a wrong class or argument is reported with all other problems
            continue
        for other in getattr(annotation, "__metadata__", ()):
            if isinstance(other, OnlyWith) and not other.is_read(node.get(other.argument)):
                shown = json.dumps(node.get(other.argument))
                problems.append(f"{key}: is read only with another {path}.{other.argument} than {shown}; leave it out.")
    return problems


def _missing_problems(path: str, given: Collection[str], target: str, signature: Signature) -> list[str]:
    problems = []
    for name, parameter in signature.parameters.items():
        if parameter.required and name not in given:
            problems.append(f"{path}.{name}: is needed by {target} and missing")
    return problems
