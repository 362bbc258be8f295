"""Referring image segmentation: the mask of what a sentence names (methods.md 1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from diffperc.data import PerceptionDataset
from diffperc.inference.baseline import referring_baseline
from diffperc.inference.predictor import ReferringPredictor
from diffperc.losses import cross_entropy
from diffperc.metrics import ReferringMetrics
from diffperc.tasks.base import PerceptionTask, at_size, image_of
from diffperc.types import Batch, DatasetInfo, TextSpec
from diffperc.visualization.panels import FOUND, TRUTH, Picture, outlined, panels


class ReferringTask(PerceptionTask):
    """Weighted cross-entropy of background and referent; oIoU, mIoU, P@0.5 to P@0.9.

    Args:
        class_weights: of background and referent, 0.9 and 1.1 as published.
        kwargs: see `PerceptionTask`.
    """

    name = "referring"
    requires: ClassVar[tuple[str, ...]] = ("expression",)
    monitor: ClassVar[tuple[str, str]] = ("val/oiou", "max")
    predictor = ReferringPredictor

    def __init__(self, class_weights: Sequence[float] = (0.9, 1.1), **kwargs: Any) -> None:
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
    def make_metrics(info: DatasetInfo) -> ReferringMetrics:
        """The same for every data set."""
        return ReferringMetrics()

    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, averaged with the classes' weights."""
        return cross_entropy(
            dense, batch.targets["referent"], self.info.ignore_index, self.class_weights, average="counted"
        )

    def predict_batch(self, batch: Batch) -> Tensor:
        """(B, 2, h, w) logits at the truth's size."""
        dense = self.dense(batch)
        size = batch.targets["referent"].shape[-2:]
        if dense.shape[-2:] != size:
            dense = F.interpolate(dense, size=size, mode="bilinear", align_corners=True)
        return dense

    def score(self, dense: Tensor, batch: Batch) -> None:
        """Compare with the truth, which has the size the protocol asks for."""
        self.scores.update(dense, batch.targets["referent"])

    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """The expression above the image, the true mask and the found one."""
        assert batch.expression is not None
        truth = batch.targets["referent"][i].cpu().numpy() > 0
        found = dense[i].argmax(0).cpu().numpy() > 0
        image = at_size(image_of(batch, i), batch.targets["referent"])
        union = int((truth | found).sum())
        iou = float((truth & found).sum() / union) if union else 0.0
        return panels(
            [
                ("image", image),
                ("truth", outlined(image, truth, TRUTH)),
                (f"prediction, IoU {iou:.2f}", outlined(image, found, FOUND)),
            ],
            title=f"“{batch.expression[i]}”",
        )

    @staticmethod
    def baseline(train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """The mean training mask, thresholded where its oIoU is best."""
        return {f"val/{name}": value for name, value in referring_baseline(train, val).items()}
