"""Training and scoring metric depth (methods.md 1.3, 2.1)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from diffperc.data import PerceptionDataset
from diffperc.layers.valid import valid_depth
from diffperc.losses import silog_loss
from diffperc.metrics import DepthMetrics
from diffperc.models.outputs import BoundedDepth
from diffperc.ranges import Share
from diffperc.targets import DepthTarget
from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.depth.baseline import depth_baseline
from diffperc.tasks.depth.figures import depth_figure
from diffperc.tasks.depth.predictor import DepthPredictor, depth_confidence, predict_depth
from diffperc.tasks.depth.protocol import DepthProtocol
from diffperc.types import Batch, DatasetInfo, Picture, TextSpec


class DepthTask(PerceptionTask):
    """SiLog loss, nine metrics, depth in metres.

    Args:
        variance_focus: of the SiLog loss, 0.5 as published.
        kwargs: see `PerceptionTask`.
    """

    name = "depth"
    target = DepthTarget()
    protocols = DepthProtocol
    monitor: ClassVar[tuple[str, str]] = ("val/rmse_m", "min")
    predictor = DepthPredictor
    error_unit = "of the depth"
    against = "depth, m"

    def __init__(self, variance_focus: Share = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.variance_focus = variance_focus

    @staticmethod
    def out_channels(info: DatasetInfo) -> int:
        """One: metres."""
        return 1

    @staticmethod
    def text(info: DatasetInfo) -> TextSpec:
        """The scene label of each image."""
        return TextSpec("scene", info.scenes)

    @staticmethod
    def output(info: DatasetInfo) -> nn.Module:
        """Sigmoid times the data set's largest depth."""
        assert info.max_depth is not None
        return BoundedDepth(info.max_depth)

    @staticmethod
    def make_metrics(info: DatasetInfo, protocol: DepthProtocol) -> DepthMetrics:
        """Over the pixels that the protocol counts."""
        return DepthMetrics(protocol.min_depth, protocol.max_depth, protocol.crop, protocol.crop_size)

    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """SiLog over the valid pixels of the global batch."""
        return silog_loss(dense, batch.targets["depth"], self.variance_focus, self.info.max_depth)

    def predict_batch(self, batch: Batch) -> Tensor:
        """(B, 1, h, w) metres at the target's size."""
        height, width = batch.targets["depth"].shape[-2:]
        return predict_depth(self.dense, batch, self.protocol, (height, width), self.model.pixels_at_once)

    def score(self, dense: Tensor, batch: Batch) -> None:
        """Compare with the ground truth at its own size."""
        self.scores.update(dense, batch.targets["depth"])

    def error(self, dense: Tensor, batch: Batch) -> Tensor:
        """|d - d*| / d* of the measured pixels."""
        target = batch.targets["depth"]
        relative = (dense - target).abs() / target
        return torch.where(valid_depth(target, self.info.max_depth), relative, torch.nan)[:, 0]

    def error_against(self, batch: Batch) -> Tensor:
        """Metres."""
        return batch.targets["depth"][:, 0]

    def confidence(self, dense: Tensor, batch: Batch) -> Tensor:
        """See `depth_confidence`."""
        return depth_confidence(self.dense, batch, self.protocol, (dense.shape[-2], dense.shape[-1]))

    def perfect(self, batch: Batch) -> Tensor:
        return batch.targets["depth"]

    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """See `depth_figure`."""
        return depth_figure(batch, dense, i, self.info.max_depth)

    def baseline(self, train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """The per-pixel mean of the training depths."""
        return depth_baseline(train, val, self.protocol)
