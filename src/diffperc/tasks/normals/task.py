"""Training and scoring surface normals."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffperc.checks import at_least_float32
from diffperc.data import PerceptionDataset
from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.normals.baseline import normals_baseline
from diffperc.tasks.normals.figures import normals_figure
from diffperc.tasks.normals.loss import cosine_loss
from diffperc.tasks.normals.metrics import NormalsMetrics, angular_error
from diffperc.tasks.normals.predictor import NormalsPredictor, normals_confidence, predict_normals
from diffperc.tasks.normals.protocol import NormalsProtocol
from diffperc.tasks.normals.target import NormalsTarget
from diffperc.types import Batch, DatasetInfo, Picture, TextSpec


class UnitVectors(nn.Module):
    """Vectors along axis 1 at length 1."""

    def forward(self, dense: Tensor) -> Tensor:
        """(B, 3, H, W), in float32 where the network computes in less."""
        return F.normalize(dense.to(at_least_float32(dense.dtype)), dim=1)


class NormalsTask(PerceptionTask):
    """Cosine loss; mean and median angular error, shares of pixels within 11.25, 22.5 and 30 degrees."""

    name = "normals"
    target = NormalsTarget()
    protocols = NormalsProtocol
    monitor: ClassVar[tuple[str, str]] = ("val/mean_deg", "min")
    predictor = NormalsPredictor
    error_unit = "°"

    @staticmethod
    def out_channels(info: DatasetInfo) -> int:
        """Three: x, y, z."""
        return 3

    @staticmethod
    def text(info: DatasetInfo) -> TextSpec:
        """The scene label of each image, as for depth."""
        return TextSpec("scene", info.scenes)

    @staticmethod
    def output(info: DatasetInfo) -> nn.Module:
        """Unit vectors."""
        return UnitVectors()

    @staticmethod
    def make_metrics(info: DatasetInfo, protocol: NormalsProtocol) -> NormalsMetrics:
        """The same for every data set."""
        return NormalsMetrics()

    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """One minus the cosine, over the measured pixels of the global batch."""
        return cosine_loss(dense, batch.targets["normals"])

    def predict_batch(self, batch: Batch) -> Tensor:
        """(B, 3, h, w) unit vectors at the target's size."""
        height, width = batch.targets["normals"].shape[-2:]
        return predict_normals(self.dense, batch, self.protocol, (height, width), self.model.pixels_at_once)

    def score(self, dense: Tensor, batch: Batch) -> None:
        """Compare with the ground truth at its own size."""
        self.scores.update(dense, batch.targets["normals"])

    def error(self, dense: Tensor, batch: Batch) -> Tensor:
        """Degrees, where a normal is known."""
        target = batch.targets["normals"]
        return torch.where(target.any(1), angular_error(dense, target), torch.nan)

    def confidence(self, dense: Tensor, batch: Batch) -> Tensor:
        """See `normals_confidence`."""
        return normals_confidence(self.dense, batch, self.protocol, (dense.shape[-2], dense.shape[-1]))

    def perfect(self, batch: Batch) -> Tensor:
        return batch.targets["normals"]

    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """See `normals_figure`."""
        return normals_figure(batch, dense, i)

    def baseline(self, train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """The per-pixel mean of the training normals."""
        return normals_baseline(train, val)
