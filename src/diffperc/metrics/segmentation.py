"""Segmentation metrics from one confusion matrix over all pixels (methods.md 1.1, 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from diffperc.checks import check_shape


def class_ids(scores: Tensor, axis: int) -> Tensor:
    """The class of the largest score, the first of equal ones; `axis`, that of the classes, is gone."""
    # argmax does the same, on a CPU in two to four times as long where the axis is not the last (torch 2.13)
    return scores.max(axis).indices


class SegmentationMetrics(MulticlassConfusionMatrix):
    """mIoU, mean accuracy of the classes, and accuracy of all pixels; in [0, 1], more is better.

    Args:
        classes: names in the order of their ids.
        ignore_index: the id in the target that is never counted.
        all_processes: in a distributed run, count the pixels of all processes.
    """

    higher_is_better = True
    full_state_update = False
    confmat: Tensor  # (K, K) int64 pixels: target in rows, prediction in columns

    def __init__(self, classes: Sequence[str], ignore_index: int = 255, all_processes: bool = True) -> None:
        super().__init__(num_classes=len(classes), ignore_index=ignore_index, sync_on_compute=all_processes)
        self.classes = tuple(classes)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: (B, K, H, W) probabilities or logits; the largest one is the class.
            target: (B, H, W) class ids, of equal size.
        """
        sizes = check_shape("prediction", prediction, "B K H W", K=len(self.classes))
        check_shape("target", target, "B H W", B=sizes["B"], H=sizes["H"], W=sizes["W"])
        super().update(class_ids(prediction, 1), target)

    def compute(self) -> dict[str, Tensor]:
        """``miou`` over the classes that occur in target or prediction, ``macc`` over those in the target, ``aacc`` over
        pixels; NaN where nothing was counted."""
        iou, accuracy = self._by_class()
        correct = self.confmat.diagonal().sum().double() / self.confmat.sum()
        values = {"miou": iou.nanmean(), "macc": accuracy.nanmean(), "aacc": correct}
        return {name: value.float() for name, value in values.items()}

    def per_class(self) -> dict[str, tuple[float, float]]:
        """By name: (IoU, accuracy); NaN for what does not occur."""
        with self.sync_context(should_sync=self.sync_on_compute):
            iou, accuracy = self._by_class()
        return dict(zip(self.classes, zip(iou.tolist(), accuracy.tolist(), strict=True), strict=True))

    def _by_class(self) -> tuple[Tensor, Tensor]:
        """IoU and accuracy, (K,) float64 each; 0 / 0 = NaN."""
        correct = self.confmat.diagonal().double()
        annotated, predicted = self.confmat.sum(1), self.confmat.sum(0)
        return correct / (annotated + predicted - self.confmat.diagonal()), correct / annotated
