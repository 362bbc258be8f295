"""From a configuration to objects, in the order in which mistakes are cheapest: data, then network, then weights."""

from __future__ import annotations

import json
import platform
from typing import Any

import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

import diffperc
from diffperc.data import PerceptionDataset
from diffperc.errors import ConfigError
from diffperc.models.perception import PerceptionModel
from diffperc.tasks import PerceptionTask
from diffperc.types import DatasetInfo


def task_class(cfg: DictConfig) -> type[PerceptionTask]:
    """The configured task, whose class alone says what it needs."""
    kind: type[PerceptionTask] = get_class(cfg.task._target_)
    return kind


def build_dataset(cfg: DictConfig, split: str) -> PerceptionDataset:
    """One split of the configured data set.

    Raises:
        DataError: it is not there.
        ConfigError: it does not say how the task is scored.
    """
    kind = task_class(cfg)
    dataset: PerceptionDataset = instantiate(cfg.dataset, split=split, needs=kind.requires, _convert_="all")
    if kind.name not in dataset.info.protocols:
        known = ", ".join(dataset.info.protocols) or "none"
        raise ConfigError(
            f"dataset.protocols has no '{kind.name}', so that nothing says how task={kind.name} is scored on "
            f"{dataset.info.name}; it has {known}."
        )
    return dataset


def build_task(cfg: DictConfig, info: DatasetInfo, weights: bool = True) -> PerceptionTask:
    """The configured network and the task around it.

    Args:
        cfg: nodes ``backbone``, ``strategy``, ``head``, ``fit``, ``task``, ``optimizer``.
        info: of the data set.
        weights: False leaves the network empty, for a checkpoint to fill.
    """
    kind = task_class(cfg)
    backbone = instantiate(cfg.backbone, _convert_="all")
    # partial: Hydra would copy modules that are passed as arguments
    text = kind.text(info)
    strategy = instantiate(cfg.strategy, _partial_=True, _convert_="all")(backbone=backbone, text=text)
    if weights:
        strategy.initialise(backbone)
    head = instantiate(cfg.head, spec=None, out_channels=None, _partial_=True, _convert_="all")
    head = head(spec=strategy.out_spec, out_channels=kind.out_channels(info))
    expression = backbone.expression_encoder(text.length) if text.kind == "expression" else None
    fit = instantiate(cfg.fit)
    model = PerceptionModel(backbone, strategy, head, fit, kind.output(info), kind.out_stride, expression)
    return instantiate(cfg.task, _partial_=True, _convert_="all")(
        model=model,
        info=info,
        optimizer=instantiate(cfg.optimizer, _convert_="all"),
        provenance=provenance(cfg, info, backbone.architecture),
    )


def provenance(cfg: DictConfig, info: DatasetInfo, architecture: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a checkpoint carries besides weights: enough to build the model again without network or data."""
    return {
        "version": diffperc.__version__,
        "config": OmegaConf.to_yaml(cfg, resolve=True),
        "architecture": json.dumps(architecture),
        "info": info.to_dict(),
        "random_backbone": cfg.backbone.get("pretrained") is None,
        "environment": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "machine": platform.machine(),
        },
    }
