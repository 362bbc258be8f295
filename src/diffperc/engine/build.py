"""Builds objects from a configuration; what fails fastest comes first: data, then network, then weights."""

from __future__ import annotations

import json
import platform
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from diffperc.data import PerceptionDataset
from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.encoders.clip_text import describe_tokenizer_of
from diffperc.engine.optimizer import OptimizerRecipe
from diffperc.errors import ConfigError, fixable
from diffperc.models import PerceptionModel
from diffperc.preprocessing import Preprocess
from diffperc.tasks import PerceptionTask
from diffperc.types import COCO_KEYPOINTS, DatasetInfo, Protocol
from diffperc.version import __version__
from diffperc.weights.architecture import Architecture, architecture, config_folder
from diffperc.weights.locate import locate
from diffperc.weights.other_unet import config_of_other_unet

FORMAT = 2
"""The version of the checkpoint format; increased when older files can no longer be read."""


def task_class(cfg: DictConfig) -> type[PerceptionTask]:
    """The configured task, whose class alone holds what it needs."""
    kind: type[PerceptionTask] = get_class(cfg.task._target_)
    return kind


def build_dataset(cfg: DictConfig, split: str, diagnostics: Diagnostics = STOP) -> PerceptionDataset:
    """One split of the configured data set.

    Raises:
        DataError: it is not there.
    """
    kind: type[PerceptionDataset] = get_class(cfg.dataset._target_)
    options: dict[str, Any] = {"split": split}
    if kind.any_target:
        options["target"] = task_class(cfg).target
    if "root" in cfg.dataset:  # files, which may be wrong
        options["diagnostics"] = diagnostics
    dataset: PerceptionDataset = instantiate(cfg.dataset, **options, _convert_="all")
    return dataset


def build_protocol(cfg: DictConfig) -> Protocol:
    """How the task is evaluated."""
    protocol: Protocol = _built(cfg.task.protocol, "task.protocol")
    return protocol


def build_preprocess(cfg: DictConfig) -> Preprocess:
    """What is done to images before the network sees them.

    Raises:
        ConfigError: a transform does not take its arguments, or something is for another kind of ground truth.
    """
    preprocess: Preprocess = _built(cfg.preprocessing, "preprocessing")
    preprocess.check(task_class(cfg).target)
    return preprocess


def build_optimizer(cfg: DictConfig) -> OptimizerRecipe:
    """The optimiser and its schedule, to be given parameters.

    Raises:
        ConfigError: a class does not take its arguments.
    """
    recipe: OptimizerRecipe = _built(cfg.optimizer, "optimizer")
    return recipe


def _built(node: DictConfig, key: str) -> Any:
    """The object of a node; values that a constructor of another library refuses become our own error."""
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        mine = fixable(error)
        if mine is not None:
            raise mine from None
        if isinstance(error.__cause__, ValueError | TypeError):
            lines = [line.strip() for line in str(error.__cause__).splitlines() if line.strip()]
            raise ConfigError(f"{key}: {' '.join(lines[:3])}; the object is {str(error).splitlines()[-1]}") from error
        if error.__cause__ is None:  # a class that Hydra does not make
            raise ConfigError(f"{key}: {' '.join(str(error).split())}") from error
        raise


def info_without_data(cfg: DictConfig, name: str | None = None) -> DatasetInfo:
    """The `DatasetInfo` that the data set would have; its files need not be on this machine.

    Args:
        cfg: with the node ``dataset``.
        name: as printed; None: that of the class.
    """
    node = cfg.dataset
    kind: type[PerceptionDataset] = get_class(node._target_)
    if kind.any_target and "root" not in node:  # rendered
        return build_dataset(cfg, "val").info
    return DatasetInfo(
        name=name or str(getattr(kind, "name", kind.__name__.lower())),
        classes=kind.classes or _names(node.get("classes")),
        scenes=_names(node.get("scenes")),
        max_depth=node.get("max_depth"),
        keypoints=COCO_KEYPOINTS if task_class(cfg).target.sample == "person" else None,
        expression_length=node.get("expression_length", 40),
    )


def _names(given: Any) -> tuple[str, ...]:
    return tuple(given) if isinstance(given, ListConfig) else ()


def architecture_of(cfg: DictConfig) -> Architecture:
    """The configs of the configured backbone's parts, without its weights.

    Raises:
        WeightsError: they are not on this machine.
    """
    config, pretrained = cfg.backbone.get("config"), cfg.backbone.get("pretrained")
    if config is None and pretrained is not None:
        source = locate(str(pretrained), cfg.backbone.get("revision"))
        arch, folder = architecture(None, source), source.path
    else:
        arch, folder = architecture(config, None), config_folder(str(config))
    describe_tokenizer_of(folder, arch)
    if cfg.backbone.get("unet") is not None:
        arch["unet"] = config_of_other_unet(str(cfg.backbone.unet), arch)
    return arch


def build_model(cfg: DictConfig, info: DatasetInfo, weights: bool = True) -> PerceptionModel:
    """The configured network.

    Args:
        cfg: nodes ``backbone``, ``strategy``, ``head``, ``fit``, ``task``.
        info: of the data set.
        weights: False leaves the network empty, for a checkpoint to fill.

    Raises:
        ConfigError: the data set has no classes to predict.
    """
    kind = task_class(cfg)
    channels = kind.out_channels(info)
    if channels < 1:
        raise ConfigError(f"task={kind.name}: the data set {info.name} names no classes; give them with classes=[...].")
    backbone = instantiate(cfg.backbone, _convert_="all")
    # partial: Hydra would copy modules that are passed as arguments
    text = kind.text(info)
    strategy = instantiate(cfg.strategy, _partial_=True, _convert_="all")(backbone=backbone, text=text)
    if weights:
        strategy.initialise(backbone)
    head = instantiate(cfg.head, spec=None, out_channels=None, _partial_=True, _convert_="all")
    head = head(spec=strategy.out_spec, out_channels=channels)
    expression = backbone.expression_encoder(text.length) if text.kind == "expression" else None
    fit = instantiate(cfg.fit)
    return PerceptionModel(backbone, strategy, head, fit, kind.output(info), kind.out_stride, expression)


def build_task(
    cfg: DictConfig, info: DatasetInfo, weights: bool = True, model: PerceptionModel | None = None
) -> PerceptionTask:
    """The configured network, unless it is given, and the task around it; see `build_model`.

    One without weights has no optimiser.
    """
    model = model or build_model(cfg, info, weights)
    task: PerceptionTask = instantiate(cfg.task, _partial_=True, _convert_="all")(
        model=model,
        info=info,
        optimizer=build_optimizer(cfg) if weights else None,
        provenance=provenance(cfg, info, model.backbone.architecture),
    )
    return task


def task_without_network(cfg: DictConfig, info: DatasetInfo) -> PerceptionTask:
    """The configured task, which can score predictions and make none."""
    task: PerceptionTask = instantiate(cfg.task, _partial_=True, _convert_="all")(model=nn.Identity(), info=info)
    return task


def provenance(cfg: DictConfig, info: DatasetInfo, architecture: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a checkpoint carries besides weights: enough to build the model again without network or data."""
    return {
        "version": __version__,
        "format": FORMAT,
        "config": OmegaConf.to_yaml(cfg, resolve=True),
        "architecture": json.dumps(architecture),
        "info": info.to_dict(),
        "precision": str(OmegaConf.select(cfg, "trainer.precision", default="32-true")),
        "random_backbone": cfg.backbone.get("pretrained") is None,
        "environment": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "machine": platform.machine(),
        },
    }
