"""Reading our own checkpoints."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from safetensors import safe_open
from torch import Tensor

from diffperc.backbones.lora import merge_lora
from diffperc.checkpoints.in_folder import checkpoint_in
from diffperc.checkpoints.provenance import read_names, read_provenance
from diffperc.checkpoints.shared import with_shared
from diffperc.engine.build import FORMAT, build_preprocess, build_task
from diffperc.engine.device import compile_network, find_device, pixels_at_once
from diffperc.engine.precision import allow_tf32, convert, inference_precision
from diffperc.errors import CheckpointError, WeightsError, first_line, fixable
from diffperc.inference.predictor import Predictor
from diffperc.models import PerceptionModel, keep_freed_memory, make_fast, parameter_counts
from diffperc.tasks import PerceptionTask
from diffperc.types import DatasetInfo
from diffperc.version import __version__
from diffperc.weights.read import check_finite, read_file


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, tensors mapped from disk.

    Raises:
        CheckpointError: no such file, damaged, or not written by diffperc.
    """
    path = Path(path).expanduser()
    try:
        content = read_file(path)
    except WeightsError as error:
        raise CheckpointError(str(error)) from error
    if path.suffix == ".safetensors":
        about = _about(path)
        shared = about.pop("shared", None)
        if isinstance(shared, dict):
            content = with_shared(content, str(shared.get("backbone")), bool(shared.get("with_text")), str(path))
        content = {"state_dict": content, **about}
    parts = ("diffperc", "state_dict")
    if not isinstance(content, dict) or not all(isinstance(content.get(part), Mapping) for part in parts):
        raise CheckpointError(
            f"{path}: is a file of weights, but was not written by diffperc. Checkpoints of VPD, Meta Prompts, ECoDepth and "
            "mmsegmentation's VPD are converted first: diffperc convert."
        )
    if content["diffperc"].get("format") != FORMAT:
        version = str(content["diffperc"].get("version", "unknown"))[:40]
        raise CheckpointError(
            f"{path}: was written by another version of diffperc ({version}) in a form that {__version__} does not "
            "read; use it with that version, or train anew."
        )
    return content


def _about(path: Path) -> dict[str, Any]:
    """What a ``.safetensors`` file says besides its tensors."""
    with safe_open(path, framework="pt") as file:
        said = file.metadata() or {}
    try:
        about = {"diffperc": json.loads(said.get("diffperc", "null")), "global_step": int(said.get("global_step", -1))}
        return about | ({"shared": json.loads(said["shared"])} if "shared" in said else {})
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: what it says about its model is damaged ({first_line(error)}).") from error


def steps_of(path: str | Path, content: Mapping[str, Any]) -> int:
    """The optimiser steps that a checkpoint has been trained for.

    Args:
        path: the checkpoint, for the message.
        content: see `read_checkpoint`.

    Raises:
        CheckpointError: training cannot resume from it.
    """
    steps = content.get("global_step")
    if type(steps) is not int or steps < 0 or not isinstance(content.get("loops"), Mapping):
        raise CheckpointError(
            f"{path}: holds a model and no training that could be resumed, as the best weights of a run and converted "
            "checkpoints do; a run resumes from its last.ckpt."
        )
    return steps


def check_fits(path: str | Path, content: dict[str, Any], cfg: DictConfig, info: DatasetInfo) -> None:
    """Check that a checkpoint holds the model that the configuration describes, for such a data set.

    Args:
        path: the checkpoint, for the message.
        content: see `read_checkpoint`.
        cfg: with nodes ``task`` and ``strategy``.
        info: the data set.

    Raises:
        CheckpointError: it has another task, strategy or number of classes.
    """
    kept = read_names(path, content["diffperc"])
    for node in ("task", "strategy"):
        was = kept.cfg[node]._target_.rpartition(".")[2]
        now = cfg[node]._target_.rpartition(".")[2]
        if was != now:
            raise CheckpointError(f"{path}: is of {node} {was}, and the configuration says {now}.")
    was, now = len(kept.info.classes), len(info.classes)
    # an imported referring model has no categories and needs none
    if was and was != now:
        raise CheckpointError(
            f"{path}: was trained on {was} classes, and the data set {info.name} has {now}; use the data set it was "
            "trained on, or train anew."
        )


def empty_task(
    cfg: DictConfig, architecture: dict[str, Any], info: DatasetInfo, channels_last: bool = False
) -> PerceptionTask:
    """The configured task with nothing in its backbone, for tensors to be assigned.

    Args:
        cfg: the source of weights in its backbone is not read.
        architecture: see `Backbone.architecture`.
        info: the data set.
        channels_last: whether convolutions have this memory layout, which needs a copy of their weights.
    """
    cfg = cfg.copy()
    cfg.backbone = {
        "_target_": cfg.backbone._target_,
        "config": architecture,
        "channels_last": channels_last,
        "empty": True,
        "lora": _lora_of(cfg),
    }
    return build_task(cfg, info, weights=False)


def _lora_of(cfg: DictConfig) -> dict[str, Any] | None:
    """The shape of adapters; what they began with is in the checkpoint."""
    lora = cfg.backbone.get("lora")
    return {**dict(lora), "pretrained": None} if isinstance(lora, DictConfig) else None


def load_task(
    path: str | Path, trust: Collection[str] = (), needs: Collection[str] = ()
) -> tuple[PerceptionTask, DictConfig]:
    """The task with its trained model in evaluation mode, and the configuration with which it was trained.

    Args:
        path: the checkpoint.
        trust: packages besides this one whose classes the checkpoint may name, and whose code is run then.
        needs: nodes of the configuration that the caller builds besides, such as ``dataset``.

    Raises:
        CheckpointError: see `read_checkpoint` and `read_provenance`; or its tensors are not those of its configuration.
    """
    content = read_checkpoint(path)
    kept, state = content["diffperc"], content["state_dict"]
    cfg, architecture, info = read_provenance(path, kept, trust, needs)
    # what training alone does; it would be built for nothing
    cfg.preprocessing.augment = []
    channels_last = bool(cfg.backbone.get("channels_last", False))
    try:
        # shapes first: a wrong one could ask for any amount of memory
        with torch.device("meta"):
            expected = empty_task(cfg, architecture, info, channels_last).state_dict()
        _check_shapes(path, expected, state)
        check_finite(state, str(path))
        task = empty_task(cfg, architecture, info, channels_last)
        # strategies and heads are allocated, the backbone is not: assign serves both
        task.load_state_dict(_in_own_precision(task, state), assign=True)
        if channels_last:  # safetensors has one layout
            task.model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    except WeightsError as error:
        raise CheckpointError(f"{error.sentence} Take an earlier checkpoint.") from error
    except CheckpointError:
        raise
    except Exception as error:  # constructors raise every kind for values that training has never written
        reason = fixable(error) or error.__cause__ or error
        raise CheckpointError(
            f"{path}: its configuration describes no model ({first_line(reason)}); it is damaged."
        ) from error
    task.provenance = dict(kept)
    return task.eval().requires_grad_(False), cfg


def _check_shapes(path: str | Path, expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Raise a `CheckpointError` if tensors are missing, left over, or of another shape than the model's."""
    fit = f"{path}: its tensors do not fit its own configuration:"
    for name, tensor in expected.items():
        if name not in state:
            raise CheckpointError(f"{fit} '{name}' is missing.")
        if not isinstance(state[name], Tensor) or state[name].shape != tensor.shape:
            found = tuple(getattr(state[name], "shape", ()))
            raise CheckpointError(f"{fit} '{name}' is {found} and should be {tuple(tensor.shape)}.")
    unused = sorted(map(str, state.keys() - expected.keys()))
    if unused:
        raise CheckpointError(f"{fit} nothing uses '{unused[0]}' ({len(unused)} in all).")


def _in_own_precision(task: PerceptionTask, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in the precision in which the network is built: a checkpoint may have been halved to save space."""
    own = task.state_dict()
    return {name: tensor.to(own[name].dtype) if name in own else tensor for name, tensor in state.items()}


def load(
    path: str | Path,
    device: str = "auto",
    which: str | None = None,
    trust: Collection[str] = (),
    precision: str = "auto",
    optimize: bool = True,
    compile: bool = False,
) -> Predictor:
    """A model that predicts.

    Args:
        path: a checkpoint, the folder of a run, or one of `trained_models`.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``.
        which: of a run folder, ``best`` or ``last``; see `checkpoint_in`.
        trust: see `load_task`.
        precision: of the network, ``32-true``, ``bf16-true``, ``16-true`` or ``64-true``; or ``auto``.
        optimize: arrange weights for this device once, see `make_fast`.
        compile: see `compile_network`; weights are not arranged then.

    Raises:
        CheckpointError: see `load_task` and `checkpoint_in`.
        ConfigError: there is no such device or precision.
    """
    place = find_device(device)
    task, cfg = load_task(checkpoint_in(path, which), trust)
    set_up_for_inference(task.model, place, precision, optimize, compile)
    return task.predictor(task.model, task.info, task.protocol, build_preprocess(cfg))


def set_up_for_inference(
    model: PerceptionModel, device: torch.device, precision: str, optimize: bool, compile: bool = False
) -> str:
    """Move a network to a device, in a precision, and arrange its weights; adapters become part of those they adapt.

    Args:
        model: changed in place.
        device: see `load`.
        precision: see `load`; also one of mixed precision, which changes no weights.
        optimize: see `load`.
        compile: see `load`.

    Returns:
        The precision that was chosen.

    Raises:
        ConfigError: there is no such precision.
    """
    allow_tf32()
    merge_lora(model)
    chosen = inference_precision(precision, device, parameter_counts(model)[1])
    convert(model, chosen, device)
    model.pixels_at_once = max(model.pixels_at_once, pixels_at_once(device))
    if compile:
        compile_network(model, device)
    elif optimize and device.type == "cpu" and not chosen.endswith("-mixed"):
        keep_freed_memory()
        make_fast(model)
    return chosen
