"""What all tasks share; a task adds its loss, metrics, protocol and pictures."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import Any, ClassVar

import cv2
import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from diffperc.data import PerceptionDataset
from diffperc.engine.optimizer import AdamW
from diffperc.errors import ConfigError, TrainingError
from diffperc.inference.predictor import Predictor
from diffperc.models.perception import PerceptionModel
from diffperc.protocols import Protocol
from diffperc.types import Batch, DatasetInfo, Prediction, TextSpec
from diffperc.visualization.panels import Picture


class PerceptionTask(L.LightningModule):
    """Trains and scores a `PerceptionModel`.

    Args:
        model: the network.
        info: of the data set.
        optimizer: None where nothing is trained.
        provenance: what `checkpoints` needs to build the model again; stored in every checkpoint.

    Attributes:
        name: under which the data set's protocol for it stands.
        requires: truths a data set must provide.
        monitor: the metric that chooses the best checkpoint, and its direction.
        out_stride: pixels of the image a cell of the prediction covers.
        predictor: predicts single images with a model of this task.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]
    monitor: ClassVar[tuple[str, str]]
    out_stride: ClassVar[int] = 1
    predictor: ClassVar[type[Predictor]]

    def __init__(
        self,
        model: PerceptionModel,
        info: DatasetInfo,
        optimizer: AdamW | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.info, self.optimizer_recipe = model, info, optimizer
        self.provenance = provenance or {}
        self.scores = self.make_metrics(info)
        # of the last validation: its optimiser step, and scores a class where there are classes
        self.validated_step = -1
        self.by_class: dict[str, dict[str, float]] = {}

    def score_by(self, protocol: Protocol) -> None:
        """Score by another protocol than that of the data set it was trained on.

        Raises:
            ConfigError: it is one of another task.
        """
        own = self.info.protocols[self.name]
        if type(protocol) is not type(own):
            raise ConfigError(
                f"protocol={protocol.name}: is a {type(protocol).__name__}, and task={self.name} is scored by a "
                f"{type(own).__name__} such as {own.name}."
            )
        self.info = dataclasses.replace(self.info, protocols={**self.info.protocols, self.name: protocol})
        self.scores = self.make_metrics(self.info)

    @staticmethod
    @abstractmethod
    def out_channels(info: DatasetInfo) -> int:
        """K, channels the head must give."""

    @staticmethod
    @abstractmethod
    def text(info: DatasetInfo) -> TextSpec:
        """What there is to say to a strategy that reads words."""

    @staticmethod
    def output(info: DatasetInfo) -> nn.Module:
        """From the head's raw numbers to the task's units; by default they are them."""
        return nn.Identity()

    @staticmethod
    @abstractmethod
    def make_metrics(info: DatasetInfo) -> Metric:
        """The metrics; `compute()` gives a dict."""

    @abstractmethod
    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """The training loss of one branch's (B, K, H, W)."""

    def auxiliary_loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """The training loss of an auxiliary head's (B, K, H, W); by default the same."""
        return self.loss(dense, batch)

    @abstractmethod
    def predict_batch(self, batch: Batch) -> Tensor:
        """What is scored: whole images by the data set's protocol."""

    @abstractmethod
    def score(self, dense: Tensor, batch: Batch) -> None:
        """Add the prediction of a batch to the metrics."""

    @abstractmethod
    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """Sample `i` at a glance: image, truth, prediction, error, side by side."""

    @staticmethod
    @abstractmethod
    def baseline(train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """Metrics of the best image-independent prediction."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of all branches."""
        loss = self.total_loss(self.model(batch), batch)
        self._check_finite(loss, batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Prediction by the protocol, scored; returned for the figures."""
        dense = self.predict_batch(batch)
        self.score(dense, batch)
        return dense

    def on_validation_epoch_end(self) -> None:
        """Log the metrics over all images of all processes."""
        self.log_dict({f"val/{name}": value for name, value in self.scores.compute().items()})
        self.by_class = self.class_scores()
        self.scores.reset()
        self.validated_step = self.global_step

    def class_scores(self) -> dict[str, dict[str, float]]:
        """Scores by class name, over all images of all processes; by default there are none."""
        return {}

    def total_loss(self, prediction: Prediction, batch: Batch) -> Tensor:
        """The weighted sum over branches."""
        loss = prediction.weight * self.loss(prediction.dense, batch)
        for extra in prediction.extras:
            term = self.auxiliary_loss if extra.auxiliary else self.loss
            loss = loss + extra.weight * term(extra.dense, batch)
        return loss

    def dense(self, batch: Batch) -> Tensor:
        """The model's prediction of a batch as it is."""
        return self.model(batch).dense

    def _check_finite(self, loss: Tensor, batch: Batch) -> None:
        if not torch.isfinite(loss):
            names = ", ".join(m.path for m in batch.meta)
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.global_step}. The batch was: {names}. Look at these images and "
                "their truth; if they are good, lower recipe.lr or use trainer.precision=32-true."
            )

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser, its schedule stepped after every optimiser step."""
        assert self.optimizer_recipe is not None
        total = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = self.optimizer_recipe.build(self.named_parameters(), total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to build the model again."""
        checkpoint["diffperc"] = self.provenance


def image_of(batch: Batch, i: int) -> Picture:
    """Image `i` of a batch as (H, W, 3) uint8."""
    pixels: Picture = (batch.image[i].permute(1, 2, 0).float().cpu().numpy() * 255).round().astype(np.uint8)
    return pixels


def at_size(image: Picture, truth: Tensor) -> Picture:
    """An image at the size of a truth (..., h, w), which pictures of results have."""
    height, width = truth.shape[-2:]
    resized: Picture = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image if image.shape[:2] == (height, width) else resized
