"""Training and scoring semantic segmentation (methods.md 1.1, 2.2)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from diffperc.data import PerceptionDataset
from diffperc.errors import ConfigError
from diffperc.losses import cross_entropy, lovasz_softmax
from diffperc.metrics import SegmentationMetrics
from diffperc.metrics.segmentation import class_ids
from diffperc.ranges import Weight
from diffperc.results.certainty import certainty
from diffperc.targets import MaskTarget
from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.segmentation.baseline import segmentation_baseline
from diffperc.tasks.segmentation.figures import segmentation_figure
from diffperc.tasks.segmentation.predictor import SegmentationPredictor, predict_classes
from diffperc.tasks.segmentation.protocol import SegmentationProtocol
from diffperc.types import Batch, DatasetInfo, Picture, TextSpec


class SegmentationTask(PerceptionTask):
    """Cross-entropy over all pixels, optionally with Lovász-softmax; mIoU, mAcc, aAcc.

    Args:
        lovasz: weight of the Lovász-softmax loss: 0 in VPD, 1 in Meta Prompts. Auxiliary heads get cross-entropy alone.
        kwargs: see `PerceptionTask`.
    """

    name = "segmentation"
    target = MaskTarget()
    protocols = SegmentationProtocol
    monitor: ClassVar[tuple[str, str]] = ("val/miou", "max")
    predictor = SegmentationPredictor
    error_unit = "of the pixels wrong"

    def __init__(self, lovasz: Weight = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lovasz = lovasz

    @staticmethod
    def out_channels(info: DatasetInfo) -> int:
        """One logit per class.

        Raises:
            ConfigError: there is one class, which every pixel would be.
        """
        if len(info.classes) == 1:
            raise ConfigError(
                f"task=segmentation: the data set {info.name} has one class, '{info.classes[0]}', and every pixel would "
                "be it; name what the rest is too, by the ids in the masks, as in dataset.classes={0:background,255:thing} "
                "with dataset.ignore=[]."
            )
        return len(info.classes)

    @staticmethod
    def text(info: DatasetInfo) -> TextSpec:
        """The class names, for every image."""
        return TextSpec("names", info.classes)

    @staticmethod
    def make_metrics(info: DatasetInfo, protocol: SegmentationProtocol) -> SegmentationMetrics:
        """Over the data set's classes."""
        return SegmentationMetrics(info.classes, info.ignore_index)

    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, and Lovász-softmax where it has a weight."""
        loss = self.auxiliary_loss(dense, batch)
        if self.lovasz:
            loss = loss + self.lovasz * lovasz_softmax(dense, batch.targets["mask"], self.info.ignore_index)
        return loss

    def auxiliary_loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, averaged over all pixels, ignored ones included (methods.md 1.1)."""
        return cross_entropy(dense, batch.targets["mask"], self.info.ignore_index)

    def predict_batch(self, batch: Batch) -> Tensor:
        """(B, K, h, w) probabilities at the target's size."""
        height, width = batch.targets["mask"].shape[-2:]
        return predict_classes(self.dense, batch, self.protocol, (height, width), self.model.pixels_at_once)

    def score(self, dense: Tensor, batch: Batch) -> None:
        """Compare with the ground truth at its own size."""
        self.scores.update(dense, batch.targets["mask"])

    def class_scores(self) -> dict[str, dict[str, float]]:
        """IoU and accuracy of each class; NaN for what does not occur."""
        scores = {}
        for name, (iou, accuracy) in self.scores.per_class().items():
            scores[name] = {"iou": iou, "accuracy": accuracy}
        return scores

    def error(self, dense: Tensor, batch: Batch) -> Tensor:
        """1 where the class is wrong, 0 where it is right."""
        mask = batch.targets["mask"]
        return torch.where(mask < len(self.info.classes), (class_ids(dense, 1) != mask).float(), torch.nan)

    def confidence(self, dense: Tensor, batch: Batch) -> Tensor:
        """See `results.certainty`."""
        return torch.from_numpy(certainty(dense.float().cpu().numpy(), 1)).to(dense.device)

    def confusion(self, dense: Tensor, batch: Batch) -> Tensor:
        """Pixels by true and predicted class."""
        mask, count = batch.targets["mask"], len(self.info.classes)
        counted = mask < count
        pairs = mask[counted] * count + class_ids(dense, 1)[counted]
        return pairs.bincount(minlength=count**2).unflatten(0, (count, count))

    def perfect(self, batch: Batch) -> Tensor:
        count = len(self.info.classes)
        return F.one_hot(batch.targets["mask"].clamp(max=count - 1), count).movedim(-1, 1).float()

    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """See `segmentation_figure`."""
        return segmentation_figure(batch, dense, i, self.info.classes)

    def baseline(self, train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """The per-pixel mode of the training masks."""
        return segmentation_baseline(train, val)
