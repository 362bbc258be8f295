"""What a checkpoint says about its model, read as data: it may come from anybody.

Tensors cannot run code, see `diffperc.weights.read`; but the configuration beside them names the classes of which the model
is built. Only parts of this package, and of packages that the user trusts by name, are built of it, each where it belongs:
the class that a name leads to is looked at, and not the name, which can lead through a module to another one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import albumentations as A
import torch
import yaml
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from torch.optim.lr_scheduler import LRScheduler

from diffperc.backbones import Backbone
from diffperc.config.nodes import nodes_of
from diffperc.config.signatures import signature_of, value_problem
from diffperc.data import PerceptionDataset
from diffperc.engine.optimizer import OptimizerRecipe, Poly, PowerOneCycle, Rule
from diffperc.errors import CheckpointError
from diffperc.heads.base import Head
from diffperc.models.fit import Fit
from diffperc.preprocessing import PersonCrop, Preprocess
from diffperc.strategies.base import Strategy
from diffperc.tasks import PerceptionTask
from diffperc.types import DatasetInfo, KeypointSpec, Protocol
from diffperc.weights.architecture import Architecture
from diffperc.weights.read import oversized

_OWN = "diffperc"
_TRANSFORM = (A.BasicTransform, A.BaseCompose)
_SCHEDULE = (PowerOneCycle, Poly, LRScheduler)
# what may be built, by its place in the configuration without the numbers of lists
_EXPECTED: dict[str, Any] = {
    "task": PerceptionTask,
    "task.protocol": Protocol,
    "strategy": Strategy,
    "head": Head,
    "fit": Fit,
    "backbone": Backbone,
    "preprocessing": Preprocess,
    "preprocessing.person_crop": PersonCrop,
    "preprocessing.augment": _TRANSFORM,
    "dataset": PerceptionDataset,
    "optimizer": OptimizerRecipe,
    "optimizer.rules": Rule,
    "optimizer.schedule": _SCHEDULE,
    "optimizer.optimizer": torch.optim.Optimizer,
    "recipe.rules": Rule,
    "recipe.schedule": _SCHEDULE,
}
# parts of libraries that recipes and augmentations name; one name behind the module
_LIBRARIES: dict[str, Any] = {
    "albumentations": A,
    "torch.optim": torch.optim,
    "torch.optim.lr_scheduler": torch.optim.lr_scheduler,
}
# of optional libraries; nothing is built of them here
_OPTIMIZERS = ("bitsandbytes.optim", "optimi")
# of the training run; nothing is built of them
_NOT_READ = ("trainer", "callbacks", "logger", "hparams_search", "debug", "checkpoint")
# of which no object is made unless it is needed; a package of the user's need not be at hand then
_NOT_BUILT = ("dataset", "optimizer", "recipe")
_LARGEST_TEXT = 20_000_000
_LARGEST_NUMBER = 2**40
# no width, number of channels, prompts or layers of a model, and no side of its images, is larger
_LARGEST_SIZE = 65_536
_SIZED = ("task", "strategy", "head", "fit", "backbone", "preprocessing")


class Provenance(NamedTuple):
    """From what a model was built.

    Attributes:
        cfg: the configuration of its training, without what concerns the run alone.
        architecture: see `Backbone.architecture`.
        info: of its data set.
    """

    cfg: DictConfig
    architecture: Architecture
    info: DatasetInfo


def read_provenance(
    path: str | Path, kept: Mapping[str, Any], trust: Collection[str] = (), needs: Collection[str] = ()
) -> Provenance:
    """The provenance of a checkpoint, after checking that nothing but parts of this package would be built of it.

    Args:
        path: the checkpoint, for messages.
        kept: its part ``diffperc``.
        trust: names of packages whose classes may be used too, and whose code is run by that.
        needs: nodes to be built besides the model, such as ``dataset``.

    Raises:
        CheckpointError: a part is damaged, or a class is refused; the message names it.
    """
    found = read_names(path, kept)
    _check_targets(path, OmegaConf.to_container(found.cfg), tuple(trust), needs)
    return found


def read_names(path: str | Path, kept: Mapping[str, Any]) -> Provenance:
    """As `read_provenance`, for a caller that builds nothing of it: any class may be named."""
    created = OmegaConf.create(_configuration(path, kept.get("config")))
    assert isinstance(created, DictConfig)
    return Provenance(created, _architecture(path, kept.get("architecture")), _info(path, kept.get("info")))


def _damaged(path: str | Path, part: str, why: str) -> CheckpointError:
    return CheckpointError(f"{path}: its part '{part}' is damaged ({why}); take another checkpoint of the run.")


def _text(path: str | Path, part: str, text: Any) -> str:
    if not isinstance(text, str) or not text:
        raise _damaged(path, part, f"a text belongs there, found {type(text).__name__}")
    if len(text) > _LARGEST_TEXT:
        raise _damaged(path, part, f"{len(text)} letters")
    return text


class _PlainLoader(yaml.SafeLoader):
    """Without references, by which a few lines unfold to any size; ours are written without."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it refers to another part of itself")
        return super().compose_node(parent, index)


def _configuration(path: str | Path, text: Any) -> dict[str, Any]:
    try:
        content = yaml.load(_text(path, "config", text), _PlainLoader)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise _damaged(path, "config", " ".join(str(error).split())[:120] or type(error).__name__) from error
    if not isinstance(content, dict):
        raise _damaged(path, "config", f"keys belong there, found {type(content).__name__}")
    content = {key: node for key, node in content.items() if key not in _NOT_READ}
    for key in ("task", "strategy", "head", "fit", "backbone", "preprocessing", "dataset"):
        if not isinstance(content.get(key), dict) or not isinstance(content[key].get("_target_"), str):
            raise _damaged(path, "config", f"it has no {key}")
    for key, value in nodes_of(content, ""):
        problem = _value_problem(key, value)
        if problem:
            raise _damaged(path, "config", f"{key[:80]}: {problem}")
    return content


def _value_problem(key: str, value: Any) -> str | None:
    """Why a value of a configuration is none that training writes."""
    if isinstance(value, dict):
        return None if all(isinstance(name, str) for name in value) else "a key is not a text"
    if isinstance(value, list):
        return None if len(value) <= _LARGEST_SIZE else f"{len(value)} entries"
    if isinstance(value, str):
        # Hydra's language, which can read files and the environment; what is stored is resolved
        return "refers to something else with ${...}" if "${" in value else None
    if type(value) is int:
        limit = _LARGEST_SIZE if key.partition(".")[0] in _SIZED else _LARGEST_NUMBER
        return None if abs(value) <= limit else f"a number of {len(str(abs(value)))} digits is too large"
    return None if value is None or isinstance(value, bool | float) else f"is a {type(value).__name__}"


def _check_targets(path: str | Path, cfg: Any, trust: tuple[str, ...], needs: Collection[str]) -> None:
    """Raise a `CheckpointError` for the first class that is not allowed at its place."""
    for key, node in nodes_of(cfg, ""):
        if not isinstance(node, dict):
            continue
        if "_args_" in node:
            raise _damaged(path, "config", f"{key} has arguments without names")
        if "_target_" in node:
            target = node["_target_"]
            if not isinstance(target, str):
                raise _damaged(path, "config", f"{key}._target_ is no text")
            needed = key.partition(".")[0] not in _NOT_BUILT or key.partition(".")[0] in needs
            _check_target(path, key, target, trust, needed)


def _check_target(path: str | Path, key: str, target: str, trust: tuple[str, ...], needed: bool) -> None:
    place = ".".join(part for part in key.split(".") if not part.isdigit())
    expected = _TRANSFORM if place.startswith("preprocessing.augment.") else _EXPECTED.get(place)
    root, (module, _, name) = target.partition(".")[0], target.rpartition(".")
    if place == "optimizer.optimizer" and module in _OPTIMIZERS and not needed:
        return
    if module in _LIBRARIES and expected is not None:
        found: Any = getattr(_LIBRARIES[module], name, None)
    elif root == _OWN or root in trust:
        if root != _OWN and not needed:
            return
        found = _imported(path, key, target)
    else:
        advice = f"If you know who made this file and trust them, add trust=[{root}]."
        if root in sys.stdlib_module_names or root == "builtins":  # never a part of a model
            advice = "No model needs that: do not use this file."
        raise CheckpointError(
            f"{path}: its {key} is {target}, which is no part of diffperc: using it would run the code of '{root}'. {advice}"
        )
    allowed = (_OWN, *trust, *(library.partition(".")[0] for library in _LIBRARIES if module == library))
    home = getattr(found, "__module__", "").partition(".")[0]
    if not isinstance(found, type) or home not in allowed:
        raise CheckpointError(f"{path}: its {key} is {target}, which is no class of diffperc: refused.")
    if expected is None and root not in trust:
        raise CheckpointError(f"{path}: its {key} is {target}; nothing is built at that place: refused.")
    if expected is not None and not issubclass(found, expected):
        names = " or ".join(kind.__name__ for kind in (expected if isinstance(expected, tuple) else (expected,)))
        raise CheckpointError(f"{path}: its {key} is {target}, which is no {names}: refused.")


def _imported(path: str | Path, key: str, target: str) -> Any:
    """The class, whose package is trusted, as is the code that importing it runs."""
    try:
        return get_object(target)
    except Exception as error:  # hydra wraps whatever importing raised
        raise CheckpointError(
            f"{path}: its {key} is {target}, which cannot be imported; run this in the folder that holds "
            "it, or add that folder to PYTHONPATH."
        ) from error


def _architecture(path: str | Path, text: Any) -> Architecture:
    try:
        content = json.loads(_text(path, "architecture", text))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "architecture", str(error)[:120]) from error
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise _damaged(path, "architecture", "the parts of a network belong there")
    problem = oversized(content)
    if problem:
        raise _damaged(path, "architecture", problem)
    return content


def _info(path: str | Path, values: Any) -> DatasetInfo:
    if not isinstance(values, Mapping):
        raise _damaged(path, "info", f"keys belong there, found {type(values).__name__}")
    problems = list(_field_problems(DatasetInfo, values, skip=("keypoints",)))
    spec = values.get("keypoints")
    if spec is not None:
        problems += _field_problems(KeypointSpec, spec) if isinstance(spec, Mapping) else ["keypoints"]
    if problems:
        raise _damaged(path, "info", problems[0])
    try:
        return DatasetInfo.from_dict(values)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise _damaged(path, "info", str(error)[:120]) from error


def _field_problems(kind: type, values: Mapping[Any, Any], skip: Collection[str] = ()) -> Iterator[str]:
    fields = signature_of(kind).parameters
    for name, value in values.items():
        if name in fields and name not in skip:
            problem = value_problem(fields[name].annotation, value)
            if problem is None and isinstance(value, list | tuple) and len(value) > _LARGEST_SIZE:
                problem = f"at most {_LARGEST_SIZE} entries"
            if problem is None and type(value) is int and abs(value) > _LARGEST_SIZE:
                problem = f"at most {_LARGEST_SIZE}"
            if problem:
                yield f"{name} must be {problem}, found {str(value)[:60]!r}"
        elif name not in fields:
            yield f"{str(name)[:60]!r} is no field of it"
    for name, field in fields.items():
        if field.required and name not in values:
            yield f"it has no {name}"
