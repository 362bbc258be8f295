from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.referring import ReferringProtocol, ReferringTask
from diffperc.tasks.referring.predictor import predict_referent
from diffperc.types import Batch
from tests.contracts.task import TaskContract


class TestReferring(TaskContract):
    name = "referring"
    overrides = ("task.class_weights=[0.9,1.1]",)
    best = {"oiou": 1.0, "miou": 1.0, "p50": 1.0, "p90": 1.0}  # noqa: RUF012

    def as_predicted(self, task: PerceptionTask, dense: Tensor, batch: Batch) -> Tensor:
        return dense[0].argmax(0).bool()

    def perfect(self, batch: Batch) -> Tensor:
        return F.one_hot(batch.targets["referent"], 2).movedim(-1, 1).float()

    def trained(self, perfect: Tensor, batch: Batch) -> Tensor:
        return perfect * 20

    def test_the_loss_weighs_background_and_referent(self, task: ReferringTask, batch: Batch) -> None:
        """Weighted mean of 0.9 and 1.1 (methods.md 1.2), against torch's own."""
        logits = torch.randn(4, 2, 96, 96, generator=torch.Generator().manual_seed(0))
        expected = F.cross_entropy(logits, batch.targets["referent"], torch.tensor([0.9, 1.1]))
        torch.testing.assert_close(task.loss(logits, batch), expected)

    def test_samples_have_an_expression_and_a_category(self, batch: Batch) -> None:
        assert batch.expression is not None
        assert batch.labels is not None
        assert all(len(e.split()) >= 2 for e in batch.expression)
        assert batch.labels.sum(1).tolist() == [1] * 4
        assert (batch.targets["referent"].sum((1, 2)) > 10).all()


def test_predictions_are_resized_with_aligned_corners() -> None:
    """methods.md 1.2."""
    ramp = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2).expand(1, 2, 2, 2)
    found = predict_referent(lambda _: ramp, Batch(torch.zeros(1, 3, 2, 2)), ReferringProtocol(name="p"), (2, 4))
    torch.testing.assert_close(found[0, 0, 0], torch.tensor([0, 1 / 3, 2 / 3, 1]))
