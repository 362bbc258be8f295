from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from diffperc.engine.build import task_without_network
from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.depth import DepthTask
from diffperc.types import Batch
from tests.contracts.task import TaskContract
from tests.helpers import composed


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

    def test_the_variance_focus_is_that_of_the_configuration(self, task: DepthTask, batch: Batch) -> None:
        """A constant factor k costs sqrt((1 - focus) log(k)^2): 0.5 in VPD, 0.85 in ECoDepth."""
        factor = torch.tensor(1.2)
        for focus in (0.5, 0.85):
            made = task_without_network(composed("task=depth", f"task.variance_focus={focus}"), task.info)
            expected = ((1 - focus) * factor.log() ** 2).sqrt()
            torch.testing.assert_close(made.loss(self.perfect(batch) * factor, batch), expected, rtol=1e-4, atol=0)
