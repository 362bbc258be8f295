"""Reading our own checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from diffperc.config.nodes import nodes_of
from diffperc.engine.build import FORMAT, build_preprocess, build_task
from diffperc.engine.device import find_device
from diffperc.errors import CheckpointError, WeightsError, did_you_mean
from diffperc.inference.predictor import Predictor
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
    if not isinstance(content, dict) or "diffperc" not in content or "state_dict" not in content:
        raise CheckpointError(f"{path}: is a torch file, but was not written by diffperc.")
    if content["diffperc"].get("format") != FORMAT:
        version = content["diffperc"].get("version", "unknown")
        raise CheckpointError(
            f"{path}: was written by another version of diffperc ({version}) in a form that {__version__} does not "
            "read; use it with that version, or train anew."
        )
    return content


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
    kept = OmegaConf.create(content["diffperc"]["config"])
    for node in ("task", "strategy"):
        was = kept[node]._target_.rpartition(".")[2]
        now = cfg[node]._target_.rpartition(".")[2]
        if was != now:
            raise CheckpointError(f"{path}: is of {node} {was}, and the configuration says {now}.")
    was, now = len(content["diffperc"]["info"]["classes"]), len(info.classes)
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
    }
    return build_task(cfg, info, weights=False)


def check_classes(path: str | Path, cfg: DictConfig, nodes: Sequence[str]) -> None:
    """Check that the classes in a checkpoint's configuration, which may be a user's own, can be imported.

    Args:
        path: the checkpoint, for the message.
        cfg: its configuration.
        nodes: of the configuration, such as ``strategy``; those below them are checked too.

    Raises:
        CheckpointError: one cannot.
    """
    for key, node in nodes_of(OmegaConf.to_container(cfg), ""):
        if key.partition(".")[0] not in nodes or not isinstance(node, dict) or "_target_" not in node:
            continue
        try:
            get_object(node["_target_"])
        except Exception as error:  # hydra wraps whatever importing raised
            raise CheckpointError(
                f"{path}: its {key} is {node['_target_']}, which cannot be imported; run this in the folder that holds "
                "it, or add that folder to PYTHONPATH."
            ) from error


def load_task(path: str | Path) -> tuple[PerceptionTask, DictConfig]:
    """The task with its trained model in evaluation mode, and the configuration with which it was trained.

    Raises:
        CheckpointError: see `read_checkpoint`; or a class cannot be imported, or its tensors are not those of its
            configuration.
    """
    content = read_checkpoint(path)
    kept = content["diffperc"]
    cfg = OmegaConf.create(kept["config"])
    assert isinstance(cfg, DictConfig)
    check_classes(path, cfg, ("task", "strategy", "head", "fit", "preprocessing"))
    channels_last = cfg.backbone.get("channels_last", False)
    task = empty_task(cfg, json.loads(kept["architecture"]), DatasetInfo.from_dict(kept["info"]), channels_last)
    try:
        check_finite(content["state_dict"], str(path))
        # strategies and heads are allocated, the backbone is not: assign serves both
        task.load_state_dict(_in_own_precision(task, content["state_dict"]), assign=True)
    except WeightsError as error:
        raise CheckpointError(f"{error.sentence} Take an earlier checkpoint.") from error
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its tensors do not fit its own configuration: {str(error)[:300]}") from error
    task.provenance = kept
    return task.eval().requires_grad_(False), cfg


def _in_own_precision(task: PerceptionTask, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in the precision in which the network is built: a checkpoint may have been halved to save space."""
    own = task.state_dict()
    return {name: tensor.to(own[name].dtype) if name in own else tensor for name, tensor in state.items()}


def checkpoint_in(path: str | Path, which: str | None = None) -> Path:
    """The checkpoint of a run folder, or the file itself.

    Args:
        path: a checkpoint, or the folder of a run.
        which: ``best`` by the validation metric, ``last``, or another name of ``checkpoints/<name>.ckpt``; None for
            the best, or the last if training was stopped before its first validation.

    Raises:
        CheckpointError: the folder has no such checkpoint.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    wanted = ["best", "last"] if which is None else [which]
    for name in wanted:
        file = path / "checkpoints" / f"{name}.ckpt"
        if file.is_file():
            return file
    known = sorted(found.stem for found in (path / "checkpoints").glob("*.ckpt"))
    raise CheckpointError(f"{path}: has no checkpoints/{wanted[0]}.ckpt{did_you_mean(wanted[0], known)}")


def load(path: str | Path, device: str = "auto", which: str | None = None) -> Predictor:
    """A model that predicts.

    >>> predictor = diffperc.load("runs/mine")
    >>> depth = predictor("photo.jpg")      # (H, W) float32 metres

    Args:
        path: a checkpoint, or the folder of a run.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``.
        which: of a run folder, ``best`` or ``last``; see `checkpoint_in`.

    Raises:
        CheckpointError: see `load_task` and `checkpoint_in`.
        ConfigError: there is no such device.
    """
    place = find_device(device)
    task, cfg = load_task(checkpoint_in(path, which))
    return task.predictor(task.model.to(place), task.info, task.protocol, build_preprocess(cfg))
