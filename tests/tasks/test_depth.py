from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.depth import DepthTask
from diffperc.types import Batch
from tests.contracts.task import TaskContract


class TestDepth(TaskContract):
    name = "depth"
    best = {"rmse_m": 0.0, "abs_rel": 0.0, "delta1": 1.0}  # noqa: RUF012

    evaluated = ("task.protocol.windows=2",)

    def as_predicted(self, task: PerceptionTask, dense: Tensor, batch: Batch) -> Tensor:
        return dense[0, 0]

    def perfect(self, batch: Batch) -> Tensor:
        return batch.targets["depth"]

    def test_the_evaluation_is_at_the_targets_size(self, task: DepthTask, batch: Batch) -> None:
        """The network saw a smaller image; the prediction is brought to the size of the target."""
        small = dataclasses.replace(batch, image=batch.image[..., ::2, ::2])
        with torch.no_grad():
            assert task.eval().predict_batch(small).shape == batch.targets["depth"].shape
