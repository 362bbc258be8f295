"""What every task must do, on a batch of the embedded data."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from diffperc.data import PerceptionDataset
from diffperc.engine.build import build_dataset, build_task
from diffperc.errors import TrainingError
from diffperc.tasks import PerceptionTask
from diffperc.types import Batch, Extra, Prediction
from tests.helpers import batch_of, composed, prepared


class TaskContract:
    """Attributes: the task's `name`, metrics that are 1 (or 0) for a perfect prediction, and how to make one."""

    name: ClassVar[str]
    best: ClassVar[dict[str, float]]
    overrides: ClassVar[tuple[str, ...]] = ()

    def perfect(self, batch: Batch) -> Tensor:
        """What `predict_batch` would return if it were right."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def dataset(cls) -> PerceptionDataset:
        return build_dataset(cls._cfg(), "val")

    @pytest.fixture(scope="class")
    @classmethod
    def task(cls, dataset: PerceptionDataset) -> PerceptionTask:
        torch.manual_seed(0)
        return build_task(cls._cfg(), dataset.info)

    @pytest.fixture(scope="class")
    @classmethod
    def batch(cls, dataset: PerceptionDataset) -> Batch:
        return batch_of(prepared(cls._cfg(), "val", dataset), len(dataset))

    @classmethod
    def _cfg(cls) -> Any:
        small = ("dataset.size=[96,96]", "dataset.train_size=4", "dataset.val_size=4")
        return composed(f"task={cls.name}", "strategy=unconditional", "backbone=tiny", *small, *cls.overrides)

    def scored(self, task: PerceptionTask, dense: Tensor, batch: Batch, dataset: PerceptionDataset) -> dict[str, float]:
        if task.name == "pose":
            task.scores.annotations = dataset.keypoint_annotations()
        task.scores.reset()
        task.score(dense, batch)
        return {k: float(v) for k, v in task.scores.compute().items()}

    def test_a_perfect_prediction_scores_best(
        self, task: PerceptionTask, batch: Batch, dataset: PerceptionDataset
    ) -> None:
        values = self.scored(task, self.perfect(batch), batch, dataset)
        assert {k: values[k] for k in self.best} == pytest.approx(self.best, abs=1e-4)

    def test_a_shifted_prediction_does_not(
        self, task: PerceptionTask, batch: Batch, dataset: PerceptionDataset
    ) -> None:
        values = self.scored(task, self.perfect(batch).roll(3, -1), batch, dataset)
        for name, best in self.best.items():
            assert abs(values[name] - best) > 1e-3, name

    def test_the_loss_prefers_the_truth(self, task: PerceptionTask, batch: Batch) -> None:
        right = self.trained(self.perfect(batch), batch)
        assert task.loss(right, batch) < 0.5 * task.loss(right.roll(9, -1), batch)

    def trained(self, perfect: Tensor, batch: Batch) -> Tensor:
        """The perfect prediction as the network would give it in training."""
        return perfect

    def test_the_loss_is_the_weighted_sum_of_the_branches(self, task: PerceptionTask, batch: Batch) -> None:
        a = self.trained(self.perfect(batch), batch)
        b = a.roll(5, -1)
        extras = (Extra("explicit", 0.25, b), Extra("auxiliary", 0.4, b, auxiliary=True))
        expected = task.loss(a, batch) + 0.25 * task.loss(b, batch) + 0.4 * task.auxiliary_loss(b, batch)
        torch.testing.assert_close(task.total_loss(Prediction(a, 1.0, extras), batch), expected)

    def test_a_loss_that_is_no_number_names_the_batch(self, task: PerceptionTask, batch: Batch) -> None:
        bad = dataclasses.replace(batch, image=batch.image * torch.nan)
        with pytest.raises(
            TrainingError, match=r"the loss is nan at step 0. The batch was: scenes/val/0, scenes/val/1"
        ):
            copy.deepcopy(task).train().training_step(bad, 0)  # batch norm would remember it
