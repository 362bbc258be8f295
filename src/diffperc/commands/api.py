"""The Python interface: configurations from names and values, without Hydra's command line."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import HydraException, InstantiationException
from lightning import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from diffperc.checkpoints import checkpoint_in
from diffperc.commands.evaluate import evaluate_one
from diffperc.commands.train import Run, train_run
from diffperc.config.cli import in_quotes
from diffperc.config.compose import composed, composed_with_choices
from diffperc.config.differences import GROUPS
from diffperc.config.explain import explain_overrides
from diffperc.config.find import conf_dir
from diffperc.config.run_folder import run_folder
from diffperc.config.validate import validate
from diffperc.engine.build import build_model, info_without_data
from diffperc.errors import ConfigError, DiffPercError
from diffperc.models import LatentsInMemory, PerceptionModel

Names = Mapping[str, str | None]
Values = Mapping[str, Any]


@contextlib.contextmanager
def _own_errors() -> Iterator[None]:
    """Raise our own errors as they are: Hydra wraps what a constructor raises."""
    try:
        yield
    except InstantiationException as error:
        if isinstance(error.__cause__, DiffPercError):
            raise error.__cause__ from None
        raise


@_own_errors()
def train_from_python(
    names: Names,
    values: Values,
    steps: int | None,
    folder: str | Path | None,
    callbacks: Sequence[Callback],
    overrides: Values | None,
) -> Run:
    """See `diffperc.train`."""
    further = dict(overrides or {})
    if steps is not None:
        further = {"recipe.steps": steps, "recipe.epochs": -1, **further}
    arguments = [*_arguments(names), *_arguments(values), *_arguments(further, keep_none=True)]
    cfg, choices = _composed(arguments)
    validate(cfg, "train", arguments)
    kept = {group: choices[group] for group in GROUPS}
    return train_run(cfg, run_folder(folder, Path("runs")), kept, callbacks=callbacks)


@_own_errors()
def evaluate_from_python(
    ckpt: str | Path, protocol: str | None, values: Values, folder: str | Path | None
) -> dict[str, float]:
    """See `diffperc.evaluate`."""
    file = checkpoint_in(ckpt)
    arguments = [*_arguments({"protocol": protocol}), *_arguments({"ckpt": str(file), **values})]
    try:
        cfg = composed("evaluate", arguments)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explained("evaluate", arguments, error) from error
    validate(cfg, "evaluate", arguments)
    place = run_folder(folder, Path("runs") / "evaluate")
    metrics: dict[str, float] = evaluate_one(file, place, cfg, LatentsInMemory(int(cfg.keep_latents * 1e9)))["metrics"]
    return metrics


@_own_errors()
def create_model_from_python(names: Names, classes: Sequence[str] | None, overrides: Values | None) -> PerceptionModel:
    """See `diffperc.create_model`."""
    arguments = [*_arguments(names), *_arguments(overrides or {}, keep_none=True)]
    cfg, _ = _composed(arguments)
    validate(cfg, "train", arguments)
    info = info_without_data(cfg)
    if classes is not None:
        info = dataclasses.replace(info, classes=tuple(classes))
    torch.manual_seed(cfg.seed)
    return build_model(cfg, info)


def _composed(arguments: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    try:
        return composed_with_choices("train", arguments)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explained("train", arguments, error) from error


def _explained(config_name: str, arguments: Sequence[str], error: Exception) -> ConfigError:
    problems = explain_overrides(conf_dir(), config_name, arguments)
    return ConfigError("\n".join(problems) or str(error).splitlines()[0])


def _arguments(values: Values, keep_none: bool = False) -> Iterable[str]:
    """Names and values as Hydra's ``key=value``; None is left out, or written as ``null`` with `keep_none`."""
    for key, value in values.items():
        if value is not None or keep_none:
            yield f"{key}={_written(value)}"


def _written(value: Any) -> str:
    """A value in Hydra's grammar; texts are quoted, so that a path may contain any sign."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, np.generic):
        return _written(value.item())
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        entries = [f"{key}:{_written(inner)}" for key, inner in value.items()]
        return f"{{{','.join(entries)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_written, value))}]"
    return in_quotes(str(value))
