"""Training and scoring referring image segmentation (methods.md 1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from diffperc.data import PerceptionDataset
from diffperc.losses import cross_entropy
from diffperc.metrics import ReferringMetrics
from diffperc.ranges import Weight
from diffperc.results.certainty import certainty
from diffperc.targets import ReferentTarget
from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.referring.baseline import referring_baseline
from diffperc.tasks.referring.figures import referring_figure
from diffperc.tasks.referring.predictor import ReferringPredictor, predict_referent
from diffperc.tasks.referring.protocol import ReferringProtocol
from diffperc.types import Batch, DatasetInfo, Picture, TextSpec


class ReferringTask(PerceptionTask):
    """Weighted cross-entropy of background and referent; oIoU, mIoU, P@0.5 to P@0.9.

    Args:
        class_weights: of background and referent, 0.9 and 1.1 as published.
        kwargs: see `PerceptionTask`.
    """

    name = "referring"
    target = ReferentTarget()
    protocols = ReferringProtocol
    monitor: ClassVar[tuple[str, str]] = ("val/oiou", "max")
    predictor = ReferringPredictor
    error_unit = "of the pixels wrong (images: 1 - IoU)"

    def __init__(self, class_weights: Sequence[Weight] = (0.9, 1.1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.class_weights = tuple(class_weights)

    @staticmethod
    def out_channels(info: DatasetInfo) -> int:
        """Background and referent."""
        return 2

    @staticmethod
    def text(info: DatasetInfo) -> TextSpec:
        """The expression of each image, and the categories of what they refer to."""
        return TextSpec("expression", info.classes, info.expression_length)

    @staticmethod
    def make_metrics(info: DatasetInfo, protocol: ReferringProtocol) -> ReferringMetrics:
        """The same for every data set."""
        return ReferringMetrics()

    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, averaged with the classes' weights."""
        return cross_entropy(
            dense, batch.targets["referent"], self.info.ignore_index, self.class_weights, average="counted"
        )

    def predict_batch(self, batch: Batch) -> Tensor:
        """(B, 2, h, w) logits at the target's size."""
        height, width = batch.targets["referent"].shape[-2:]
        return predict_referent(self.dense, batch, self.protocol, (height, width), self.model.pixels_at_once)

    def score(self, dense: Tensor, batch: Batch) -> None:
        """Compare with the ground truth, which has the size for which the protocol asks."""
        self.scores.update(dense, batch.targets["referent"])

    def error(self, dense: Tensor, batch: Batch) -> Tensor:
        """1 where the mask is wrong, 0 where it is right."""
        return (dense.argmax(1) != batch.targets["referent"]).float()

    def confidence(self, dense: Tensor, batch: Batch) -> Tensor:
        """See `results.certainty`."""
        return torch.from_numpy(certainty(dense.float().softmax(1).cpu().numpy(), 1)).to(dense.device)

    def image_error(self, dense: Tensor, batch: Batch) -> float:
        """1 - IoU: of a small object most pixels are right whatever is found."""
        found, target = dense[0].argmax(0) > 0, batch.targets["referent"][0] > 0
        return 1 - float((found & target).sum() / (found | target).sum().clamp(min=1))

    def perfect(self, batch: Batch) -> Tensor:
        referent = (batch.targets["referent"] == 1).float()
        return torch.stack([1 - referent, referent], 1)

    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """See `referring_figure`."""
        return referring_figure(batch, dense, i)

    def baseline(self, train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """The mean training mask, thresholded where its oIoU is best."""
        return referring_baseline(train, val)
