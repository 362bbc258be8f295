"""Whether a task can be scored on a data set, tried with the ground truth as prediction."""

from __future__ import annotations

import math

import numpy as np
import torch
from omegaconf import DictConfig

from diffperc.data import PerceptionDataset, PreparedDataset, collate
from diffperc.engine.build import build_preprocess, build_protocol, task_class, task_without_network
from diffperc.tasks import PerceptionTask

_SAMPLES = 16


def scores_of_the_truth(cfg: DictConfig, val: PerceptionDataset) -> dict[str, float]:
    """The task's metrics when the ground truth of some validation samples is taken for the prediction.

    Raises:
        DataError: a sample cannot be read.
        ConfigError: the data set cannot be predicted by this task.
    """
    kind = task_class(cfg)
    kind.out_channels(val.info)
    task = task_without_network(cfg, val.info)
    protocol = build_protocol(cfg)
    data = PreparedDataset(val, build_preprocess(cfg), kind.target, protocol.resizes_target)
    task.prepare_scores(val)
    with torch.inference_mode():
        for index in np.unique(np.linspace(0, len(val) - 1, _SAMPLES).astype(int)).tolist():
            batch = collate([data[index]])
            task.score(task.perfect(batch), batch)
        return {name: float(value) for name, value in task.scores.compute().items()}


def scoring_problem(task: type[PerceptionTask], scores: dict[str, float], protocol: str) -> str | None:
    """A sentence if the metric that chooses the best checkpoint is not a number."""
    name = task.monitor[0].removeprefix("val/")
    if math.isfinite(scores[name]):
        return None
    return (
        f"val: even the ground truth scores {name}={scores[name]} by the protocol {protocol}: nothing of the samples that "
        "were tried is counted. Look at the ignored ids, the range and the crop of the protocol."
    )
