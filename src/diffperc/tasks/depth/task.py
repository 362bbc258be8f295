"""Metric depth estimation (methods.md 1.3, 2.1)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from diffperc.data import PerceptionDataset
from diffperc.inference.baseline import depth_baseline
from diffperc.inference.predictor import DepthPredictor
from diffperc.inference.sliding_window import predict_whole
from diffperc.losses import silog_loss
from diffperc.metrics import DepthMetrics
from diffperc.models.outputs import BoundedDepth
from diffperc.protocols import DepthProtocol
from diffperc.tasks.base import PerceptionTask, at_size, image_of
from diffperc.types import Batch, DatasetInfo, TextSpec
from diffperc.visualization.panels import Picture, colour, panels


def _protocol(info: DatasetInfo) -> DepthProtocol:
    protocol = info.protocols["depth"]
    assert isinstance(protocol, DepthProtocol)
    return protocol


class DepthTask(PerceptionTask):
    """SiLog loss, nine metrics, depth in metres.

    Args:
        variance_focus: of the SiLog loss, 0.5 as published.
        kwargs: see `PerceptionTask`.
    """

    name = "depth"
    requires: ClassVar[tuple[str, ...]] = ("depth",)
    monitor: ClassVar[tuple[str, str]] = ("val/rmse_m", "min")
    predictor = DepthPredictor

    def __init__(self, variance_focus: float = 0.5, **kwargs: Any) -> None:
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
    def make_metrics(info: DatasetInfo) -> DepthMetrics:
        """By the data set's protocol."""
        return DepthMetrics(_protocol(info))

    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """SiLog over the measured pixels of the global batch."""
        return silog_loss(dense, batch.targets["depth"], self.variance_focus)

    def predict_batch(self, batch: Batch) -> Tensor:
        """(B, 1, h, w) metres at the truth's size, averaged over the protocol's windows and mirror images."""
        protocol = _protocol(self.info)
        dense = predict_whole(self.dense, batch, protocol.windows, protocol.flip)
        size = batch.targets["depth"].shape[-2:]
        if dense.shape[-2:] != size:
            dense = F.interpolate(dense, size=size, mode="bilinear", align_corners=False)
        return dense

    def score(self, dense: Tensor, batch: Batch) -> None:
        """Compare with the truth at its own size."""
        self.scores.update(dense, batch.targets["depth"])

    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """Image, truth, prediction on the truth's colour scale, absolute error."""
        truth = batch.targets["depth"][i, 0].float().cpu().numpy()
        prediction = dense[i, 0].float().cpu().numpy()
        measured = (truth > 0) & (truth <= (self.info.max_depth or np.inf))
        seen = truth[measured] if measured.any() else prediction
        low, high = float(seen.min()), float(seen.max())
        error = np.where(measured, np.abs(prediction - truth), np.nan)
        mean = float(np.nanmean(error)) if measured.any() else float("nan")
        return panels(
            [
                ("image", at_size(image_of(batch, i), batch.targets["depth"])),
                (f"truth {low:.1f} to {high:.1f} m", colour(np.where(measured, truth, np.nan), low, high)),
                (f"prediction {prediction.min():.1f} to {prediction.max():.1f} m", colour(prediction, low, high)),
                (f"error, mean {mean:.2f} m, white 1 m", colour(error, 0, 1, "magma")),
            ]
        )

    @staticmethod
    def baseline(train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """The per-pixel mean of the training depths."""
        return {f"val/{name}": value for name, value in depth_baseline(train, val).items()}
