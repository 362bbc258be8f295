"""Training and scoring top-down human pose estimation (methods.md 2.3).

Meta Prompts reports an AP of 79 on COCO's validation set but has released no code for it; the recipe here is our own, after
that of ViTPose: heatmaps at a quarter of the crop's size, mean squared error with target weights, unbiased data processing.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from diffperc.data import PerceptionDataset
from diffperc.metrics import KeypointMetrics
from diffperc.ranges import Range
from diffperc.targets import KeypointsTarget
from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.pose.baseline import pose_baseline
from diffperc.tasks.pose.figures import pose_figure
from diffperc.tasks.pose.predictor import PosePredictor, keypoints_in_image, predict_heatmaps
from diffperc.tasks.pose.protocol import PoseProtocol
from diffperc.types import Batch, DatasetInfo, KeypointSpec, Picture, TextSpec


def _spec(info: DatasetInfo) -> KeypointSpec:
    assert info.keypoints is not None
    return info.keypoints


class PoseTask(PerceptionTask):
    """Mean squared error of heatmaps; COCO's AP and AR, and PCK@0.2.

    Args:
        loss_scale: factor on the loss, which is small because heatmaps are zero almost everywhere.
        kwargs: see `PerceptionTask`.
    """

    name = "pose"
    target = KeypointsTarget()
    protocols = PoseProtocol
    monitor: ClassVar[tuple[str, str]] = ("val/ap", "max")
    out_stride = 4
    predictor = PosePredictor
    error_unit = "of the box's longer side"

    def __init__(self, loss_scale: Annotated[float, Range(0, 1e6, above=True)] = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss_scale = loss_scale

    @staticmethod
    def out_channels(info: DatasetInfo) -> int:
        """One heatmap per keypoint."""
        return len(_spec(info).names)

    @staticmethod
    def text(info: DatasetInfo) -> TextSpec:
        """The keypoints' names, for every image."""
        return TextSpec("names", _spec(info).names)

    @staticmethod
    def make_metrics(info: DatasetInfo, protocol: PoseProtocol) -> KeypointMetrics:
        """By the data set's keypoints and protocol."""
        return KeypointMetrics(_spec(info), protocol.visible, protocol.oks_nms)

    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """Mean squared error over all cells; unlabelled keypoints count as correct."""
        weight = batch.targets["heatmap_weight"][:, :, None, None]
        return self.loss_scale * ((dense - batch.targets["heatmap"]) * weight).square().mean()

    def predict_batch(self, batch: Batch) -> Tensor:
        """(B, K, h, w) heatmaps of each person's crop, averaged with the mirror image's if the protocol requires it."""
        swap = _spec(self.info).swap
        return predict_heatmaps(self.dense, batch, swap, self.protocol.flip, self.model.pixels_at_once)

    def score(self, dense: Tensor, batch: Batch) -> None:
        """Keypoints in the image as stored, beside the persons they belong to."""
        points, confidence = keypoints_in_image(dense, batch, self.protocol.blur)
        self.scores.update(points, confidence, [m.person for m in batch.meta])

    def prepare_scores(self, val: PerceptionDataset) -> None:
        """COCO's evaluation needs all annotations, also those of persons for whom nothing was predicted."""
        self.scores.annotations = val.keypoint_annotations()

    def error(self, dense: Tensor, batch: Batch) -> Tensor:
        """Distance of labelled keypoints in lengths of the box's longer side."""
        points, _ = keypoints_in_image(dense, batch, self.protocol.blur)
        persons = [meta.person for meta in batch.meta if meta.person is not None]
        known = points.new_tensor([person.keypoints for person in persons])
        sides = points.new_tensor([max(person.box[2:]) for person in persons])
        distance = (points - known[..., :2]).norm(dim=-1) / sides[:, None]
        return torch.where(known[..., 2] > 0, distance, torch.nan)

    def confidence(self, dense: Tensor, batch: Batch) -> Tensor:
        """The heatmaps' maxima."""
        return keypoints_in_image(dense, batch, self.protocol.blur)[1].clamp(0, 1)

    def perfect(self, batch: Batch) -> Tensor:
        return batch.targets["heatmap"]

    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """See `pose_figure`."""
        return pose_figure(batch, dense, i, _spec(self.info), self.protocol)

    def baseline(self, train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """The mean position of each keypoint in its person's box."""
        return pose_baseline(train, val, self.protocol)
