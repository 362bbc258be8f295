from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from diffperc.losses import lovasz_softmax
from diffperc.metrics.segmentation import class_ids
from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.segmentation import SegmentationTask
from diffperc.types import Batch
from tests.contracts.task import TaskContract


class TestSegmentation(TaskContract):
    name = "segmentation"
    best = {"miou": 1.0, "macc": 1.0, "aacc": 1.0}  # noqa: RUF012

    evaluated = ("task.protocol.window=64", "task.protocol.stride=41", "task.protocol.ratios=[1.0,0.75]")

    def as_predicted(self, task: PerceptionTask, dense: Tensor, batch: Batch) -> Tensor:
        return class_ids(dense[0], 0)

    def perfect(self, batch: Batch) -> Tensor:
        return F.one_hot(batch.targets["mask"], 15).movedim(-1, 1).float()

    def trained(self, perfect: Tensor, batch: Batch) -> Tensor:
        return perfect * 20

    def test_labels_are_the_classes_of_the_crop(self, batch: Batch) -> None:
        assert batch.labels is not None
        for labels, mask in zip(batch.labels, batch.targets["mask"], strict=True):
            assert labels.nonzero()[:, 0].tolist() == mask.unique().tolist()

    def test_probabilities_sum_to_one(self, task: SegmentationTask, batch: Batch) -> None:
        with torch.no_grad():
            dense = task.eval().predict_batch(batch)
        torch.testing.assert_close(dense.sum(1), torch.ones_like(dense[:, 0]))


class TestSegmentationWithLovasz(TestSegmentation):
    overrides = ("task.lovasz=1.0", "head=upernet", "head.channels=16")

    def test_auxiliary_heads_get_cross_entropy_alone(self, task: SegmentationTask, batch: Batch) -> None:
        """methods.md 2.2: cross-entropy 1 + Lovász 1, auxiliary cross-entropy 0.4."""
        logits = torch.randn(4, 15, 96, 96, generator=torch.Generator().manual_seed(0))
        difference = task.loss(logits, batch) - task.auxiliary_loss(logits, batch)
        torch.testing.assert_close(difference, lovasz_softmax(logits, batch.targets["mask"]))
        extra = task.train().model(batch).extras
        assert [(e.name, e.weight, e.auxiliary) for e in extra] == [("auxiliary", 0.4, True)]
        assert extra[0].dense.shape == (4, 15, 96, 96)
