"""What every task must do, on a batch of the embedded data."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from diffperc.checkpoints import load, load_task
from diffperc.data import Draw, PerceptionDataset, collate
from diffperc.engine.build import build_dataset, build_task
from diffperc.errors import TrainingError
from diffperc.inference.predictor import Predictor
from diffperc.tasks import PerceptionTask
from diffperc.types import Batch, Extra, Prediction, Sample
from tests.helpers import batch_of, composed, prepared

# (H, W) of the stored image, and the short side that the network sees
SIZES = [((150, 203), 96), ((75, 101), 128), ((96, 131), None), ((140, 90), 70)]


def _options(predictor: Predictor, sample: Sample) -> dict[str, Any]:
    """What evaluation knows of a sample besides its image."""
    given: dict[str, Any] = {"scene": predictor.info.scenes[sample.scene] if sample.scene >= 0 else None}
    given["expression"] = sample.expressions[0] if sample.expressions else None
    given["boxes"] = None if sample.person is None else [sample.person.box]
    return {name: value for name, value in given.items() if name in predictor.options}


class TaskContract:
    """Attributes: the task's `name`, metrics that are 1 (or 0) for a perfect prediction, and how to make one."""

    name: ClassVar[str]
    best: ClassVar[dict[str, float]]
    overrides: ClassVar[tuple[str, ...]] = ()
    # of an evaluation with windows, scales or other crops, where the task has such
    evaluated: ClassVar[tuple[str, ...]] = ()

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

    def as_predicted(self, task: PerceptionTask, dense: Tensor, batch: Batch) -> Any:
        """What a predictor gives for the scored `dense` of a batch of one."""
        raise NotImplementedError

    @pytest.mark.parametrize("extra", [(), ("strategy=vpd", "task.protocol.flip=true")], ids=["plain", "mirrored"])
    @pytest.mark.parametrize(("stored", "seen"), SIZES, ids=["shrinks", "grows", "as stored", "portrait"])
    def test_prediction_is_what_evaluation_scores(
        self, stored: tuple[int, int], seen: int | None, extra: tuple[str, ...], tmp_path: Path
    ) -> None:
        """To the bit: the same resizing, windows, crop of a person, mirror image and interpolation."""
        resized = () if seen is None else (f"preprocessing.short_side={seen}",)
        if seen is not None and self._cfg().preprocessing.size is not None:
            resized = (f"preprocessing.size=[{seen},{seen + 33}]",)
        sized = (f"dataset.size=[{stored[0]},{stored[1]}]", *resized, *self.evaluated)
        cfg = composed(f"task={self.name}", "strategy=unconditional", "dataset.val_size=2", *sized, *extra)
        torch.manual_seed(0)
        data = prepared(cfg, "val")
        made = build_task(cfg, data.dataset.info)
        torch.save({"state_dict": made.state_dict(), "diffperc": made.provenance}, tmp_path / "last.ckpt")
        task, _ = load_task(tmp_path / "last.ckpt")
        predictor = load(tmp_path / "last.ckpt", "cpu", precision="32-true", optimize=False)
        for i in range(2):
            sample, batch = data.dataset[i], collate([data[Draw(i, i)]])
            with torch.inference_mode():
                scored = self.as_predicted(task, task.predict_batch(batch), batch)
            found = predictor(sample.image, **_options(predictor, sample))
            assert np.array_equal(np.asarray(self.comparable(found)), np.asarray(scored))

    def comparable(self, result: Any) -> Any:
        """What of a predictor's result is compared; by default all of it."""
        return result

    def scored(self, task: PerceptionTask, dense: Tensor, batch: Batch, dataset: PerceptionDataset) -> dict[str, float]:
        task.prepare_scores(dataset)
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

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
    def test_an_image_of_a_report_has_its_error_in_any_precision(
        self, dtype: torch.dtype, task: PerceptionTask, dataset: PerceptionDataset
    ) -> None:
        batch = batch_of(prepared(self._cfg(), "val", dataset), 1)
        converted = copy.deepcopy(task).eval().to(dtype)
        with torch.inference_mode():
            expected = copy.deepcopy(task).eval().predict_step(batch, 0)
            found = converted.predict_step(dataclasses.replace(batch, image=batch.image.to(dtype)), 0)
        assert expected is not None
        assert found is not None
        assert found.error == pytest.approx(expected.error, rel=0.1)

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
