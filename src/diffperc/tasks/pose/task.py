"""Top-down human pose estimation (methods.md 2.3).

Meta Prompts names an AP of 79 on COCO's validation set and has released no code for it; the recipe here is ours, after
ViTPose's: heatmaps at a quarter of the crop's size, mean squared error with target weights, unbiased data processing.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from diffperc.data import PerceptionDataset
from diffperc.inference.baseline import pose_baseline
from diffperc.inference.heatmaps import decode, to_image
from diffperc.inference.pose import keypoints_in_image, predict_heatmaps
from diffperc.inference.predictor import PosePredictor
from diffperc.metrics import KeypointMetrics
from diffperc.protocols import PoseProtocol
from diffperc.tasks.base import PerceptionTask, image_of
from diffperc.types import Batch, DatasetInfo, TextSpec
from diffperc.types.keypoints import KeypointSpec
from diffperc.visualization.panels import Picture, colour, panels, skeleton


def _spec(info: DatasetInfo) -> KeypointSpec:
    assert info.keypoints is not None
    return info.keypoints


def _protocol(info: DatasetInfo) -> PoseProtocol:
    protocol = info.protocols["pose"]
    assert isinstance(protocol, PoseProtocol)
    return protocol


class PoseTask(PerceptionTask):
    """Mean squared error of heatmaps; COCO's AP and AR, and PCK@0.2.

    Args:
        loss_scale: the loss is multiplied by it: heatmaps are almost everywhere zero.
        kwargs: see `PerceptionTask`.
    """

    name = "pose"
    requires: ClassVar[tuple[str, ...]] = ("keypoints",)
    monitor: ClassVar[tuple[str, str]] = ("val/ap", "max")
    out_stride = 4
    predictor = PosePredictor

    def __init__(self, loss_scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss_scale = loss_scale

    @staticmethod
    def out_channels(info: DatasetInfo) -> int:
        """One heatmap a keypoint."""
        return len(_spec(info).names)

    @staticmethod
    def text(info: DatasetInfo) -> TextSpec:
        """The keypoints' names, for every image."""
        return TextSpec("names", _spec(info).names)

    @staticmethod
    def make_metrics(info: DatasetInfo) -> KeypointMetrics:
        """By the data set's keypoints and protocol."""
        return KeypointMetrics(_spec(info), _protocol(info))

    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """Mean squared error over all cells; keypoints without truth count as right."""
        weight = batch.targets["heatmap_weight"][:, :, None, None]
        return self.loss_scale * ((dense - batch.targets["heatmap"]) * weight).square().mean()

    def predict_batch(self, batch: Batch) -> Tensor:
        """(B, K, h, w) heatmaps of each person's crop, averaged with the mirror image's if the protocol says so."""
        return predict_heatmaps(self.dense, batch, _spec(self.info).swap, _protocol(self.info).flip)

    def score(self, dense: Tensor, batch: Batch) -> None:
        """Keypoints in the image as stored, beside the persons they belong to."""
        points, confidence = keypoints_in_image(dense, batch, _protocol(self.info).blur)
        self.scores.update(points, confidence, [m.person for m in batch.meta])

    def on_validation_epoch_start(self) -> None:
        """COCO's evaluation needs the whole truth, also of persons that nothing was predicted for."""
        self.scores.truth = self.trainer.datamodule.val.keypoint_truth()

    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """The crop, the true skeleton, the found one, and the brightest of all heatmaps at each place."""
        image, spec = image_of(batch, i), _spec(self.info)
        heatmaps = dense[i : i + 1].float().cpu()
        points, confidence = decode(heatmaps, _protocol(self.info).blur)
        cells, crop = heatmaps.shape[-2:], image.shape[:2]
        found = to_image(points, (cells[0], cells[1]), (crop[0], crop[1]), torch.eye(2, 3)[None])[0].numpy()
        true, known = _truth_in_crop(batch, i)
        return panels(
            [
                ("person", image),
                ("truth", skeleton(image, true, known, spec)),
                ("prediction", skeleton(image, found, confidence[0].numpy() >= _protocol(self.info).visible, spec)),
                ("heatmaps", colour(heatmaps[0].amax(0).numpy(), 0.0, 1.0, "magma")),
            ]
        )

    @staticmethod
    def baseline(train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """The mean place of each keypoint in its person's box."""
        return {f"val/{name}": value for name, value in pose_baseline(train, val).items()}


def _truth_in_crop(batch: Batch, i: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """True keypoints (K, 2) in pixels of the crop, and which of them are labelled."""
    meta = batch.meta[i]
    assert meta.person is not None
    matrix = np.vstack([np.array(meta.crop), (0.0, 0.0, 1.0)])
    rows = np.array(meta.person.keypoints)
    points = np.linalg.solve(matrix, np.vstack([rows[:, :2].T, np.ones(len(rows))]))[:2].T
    return points, rows[:, 2] > 0
