"""Semantic segmentation (methods.md 1.1, 2.2)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from diffperc.data import PerceptionDataset
from diffperc.inference.baseline import segmentation_baseline
from diffperc.inference.predictor import SegmentationPredictor
from diffperc.inference.sliding_window import predict_probabilities
from diffperc.losses import cross_entropy, lovasz_softmax
from diffperc.metrics import SegmentationMetrics
from diffperc.models.outputs import class_ids
from diffperc.protocols import SegmentationProtocol
from diffperc.tasks.base import PerceptionTask, at_size, image_of
from diffperc.types import Batch, DatasetInfo, TextSpec
from diffperc.visualization.panels import Picture, class_colours, overlay, panels


class SegmentationTask(PerceptionTask):
    """Cross-entropy over all pixels, optionally with Lovász-softmax; mIoU, mAcc, aAcc.

    Args:
        lovasz: weight of the Lovász-softmax loss: 0 in VPD, 1 in Meta Prompts. Auxiliary heads get cross-entropy alone.
        kwargs: see `PerceptionTask`.
    """

    name = "segmentation"
    requires: ClassVar[tuple[str, ...]] = ("mask",)
    monitor: ClassVar[tuple[str, str]] = ("val/miou", "max")
    predictor = SegmentationPredictor

    def __init__(self, lovasz: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lovasz = lovasz

    @staticmethod
    def out_channels(info: DatasetInfo) -> int:
        """One logit a class."""
        return len(info.classes)

    @staticmethod
    def text(info: DatasetInfo) -> TextSpec:
        """The class names, for every image."""
        return TextSpec("names", info.classes)

    @staticmethod
    def make_metrics(info: DatasetInfo) -> SegmentationMetrics:
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
        """(B, K, h, w) probabilities at the truth's size, by the protocol's windows, scales and mirror images."""
        protocol = self.info.protocols["segmentation"]
        assert isinstance(protocol, SegmentationProtocol)
        height, width = batch.targets["mask"].shape[-2:]
        return predict_probabilities(self.dense, batch, protocol, (height, width))

    def score(self, dense: Tensor, batch: Batch) -> None:
        """Compare with the truth at its own size."""
        self.scores.update(dense, batch.targets["mask"])

    def class_scores(self) -> dict[str, dict[str, float]]:
        """IoU and accuracy of each class; NaN for what does not occur."""
        return {name: {"iou": iou, "accuracy": acc} for name, (iou, acc) in self.scores.per_class().items()}

    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """Image, true classes, found classes, errors in red; a legend of the classes that occur."""
        truth = batch.targets["mask"][i].cpu().numpy()
        found = class_ids(dense[i], 0).cpu().numpy()
        image = at_size(image_of(batch, i), batch.targets["mask"])
        colours = class_colours(len(self.info.classes))
        counted = truth < len(self.info.classes)
        wrong = image // 3
        wrong[counted & (truth != found)] = (255, 65, 54)
        share = float((truth == found)[counted].mean()) if counted.any() else float("nan")
        occurring = [c for c in np.union1d(truth[counted], found) if c < len(self.info.classes)]
        legend = [(self.info.classes[c], (int(r), int(g), int(b))) for c in occurring for r, g, b in [colours[c]]]
        return panels(
            [
                ("image", image),
                ("truth", overlay(image, truth, colours)),
                ("prediction", overlay(image, found, colours)),
                (f"{share:.0%} right, wrong in red", wrong),
            ],
            legend=legend,
        )

    @staticmethod
    def baseline(train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """The per-pixel mode of the training masks."""
        return {f"val/{name}": value for name, value in segmentation_baseline(train, val).items()}
