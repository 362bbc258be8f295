"""Referring segmentation metrics, one intersection over union a sentence (methods.md 1.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from diffperc.checks import check_shape

THRESHOLDS = {"p50": 0.5, "p60": 0.6, "p70": 0.7, "p80": 0.8, "p90": 0.9}


class ReferringMetrics(Metric):
    """Overall IoU, mean IoU, and precision: the fraction of sentences with at least that IoU. In [0, 1], more is better.

    Args:
        all_processes: in a distributed run, count the sentences of all processes.
    """

    higher_is_better = True
    full_state_update = False
    intersection: Tensor
    union: Tensor
    iou: Tensor
    hits: Tensor
    sentences: Tensor

    def __init__(self, all_processes: bool = True) -> None:
        super().__init__(sync_on_compute=all_processes)
        for name in ("intersection", "union", "sentences"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("iou", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("hits", torch.zeros(len(THRESHOLDS), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch of sentences.

        Args:
            logits: (B, 2, H, W) of elsewhere and of the referent.
            target: (B, H, W), 1 where the sentence points, else 0; of equal size.
        """
        sizes = check_shape("logits", logits, "B 2 H W")
        check_shape("target", target, "B H W", B=sizes["B"], H=sizes["H"], W=sizes["W"])
        predicted, true = logits.argmax(1).bool(), target == 1
        intersection = (predicted & true).sum((1, 2))
        union = (predicted | true).sum((1, 2))
        # nothing predicted where nothing is: 0, not 1, as published
        iou = intersection.double() / union.clamp_min(1)
        self.intersection += intersection.sum()
        self.union += union.sum()
        self.iou += iou.sum()
        self.hits += (iou[:, None] >= iou.new_tensor(list(THRESHOLDS.values()))).sum(0)
        self.sentences += len(target)

    def compute(self) -> dict[str, Tensor]:
        """``oiou``: all intersections over all unions; ``miou``, ``p50`` ... ``p90``: means over sentences, NaN if there
        was none."""
        values = {"oiou": self.intersection.double() / self.union.clamp_min(1), "miou": self.iou / self.sentences}
        precision = self.hits.double() / self.sentences
        values |= dict(zip(THRESHOLDS, precision.unbind(), strict=True))
        return {name: value.float() for name, value in values.items()}
