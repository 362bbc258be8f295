"""What all tasks share; a task adds its loss, metrics, protocol, prediction and figures in a folder of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar
from typing import Protocol as Interface

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from diffperc.data import PerceptionDataset
from diffperc.errors import ConfigError, TrainingError
from diffperc.inference.predictor import Predictor
from diffperc.models import PerceptionModel
from diffperc.tasks.cases import Case, samples_of
from diffperc.types import Batch, DatasetInfo, Picture, Prediction, Protocol, Target, TextSpec


class OptimizerFactory(Interface):
    """Makes the optimiser and its schedule; `engine.optimizer` has the recipes' one."""

    def build(
        self, parameters: Iterable[tuple[str, nn.Parameter]], total_steps: int, fused: bool = True
    ) -> tuple[Any, Any]:
        """An optimiser of named parameters, and a schedule that is stepped after each of `total_steps` steps."""


class PerceptionTask(L.LightningModule):
    """Trains and scores a `PerceptionModel`.

    Args:
        model: the network.
        info: of the data set.
        protocol: by which the task is evaluated.
        optimizer: None where nothing is trained.
        provenance: what `checkpoints` needs to build the model again; stored in every checkpoint.

    Attributes:
        name: as in ``task=``.
        target: the ground truth that a data set must provide.
        protocols: the class of its protocols.
        monitor: the metric that chooses the best checkpoint, and its direction.
        out_stride: pixels of the image per cell of the prediction.
        predictor: predicts single images with a model of this task.
        error_unit: of `error`, for reports; empty for plain numbers.
        against: what `error_against` is, with its unit; empty where it is nothing.
        supplied: arguments that come from the program and not from a configuration.
    """

    name: ClassVar[str]
    target: ClassVar[Target]
    protocols: ClassVar[type[Protocol]]
    monitor: ClassVar[tuple[str, str]]
    out_stride: ClassVar[int] = 1
    predictor: ClassVar[type[Predictor]]
    error_unit: ClassVar[str] = ""
    against: ClassVar[str] = ""
    supplied: ClassVar[tuple[str, ...]] = ("model", "info", "optimizer", "provenance")

    def __init__(
        self,
        model: PerceptionModel,
        info: DatasetInfo,
        protocol: Any,
        optimizer: OptimizerFactory | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.info, self.optimizer_factory = model, info, optimizer
        self.provenance = provenance or {}
        # the optimiser step of the last validation, and its scores per class where there are classes
        self.validated_step = -1
        self.by_class: dict[str, dict[str, float]] = {}
        self.score_by(protocol)

    def score_by(self, protocol: Protocol) -> None:
        """Score by a protocol, for example another one than in training.

        Raises:
            ConfigError: the protocol belongs to another task.
        """
        if not isinstance(protocol, self.protocols):
            usual = f"; leave it out to use {self.protocol.name}" if hasattr(self, "protocol") else ""
            raise ConfigError(
                f"protocol={protocol.name}: is a {type(protocol).__name__}, and task={self.name} is scored by a "
                f"{self.protocols.__name__}{usual}."
            )
        self.protocol: Any = protocol
        self.scores = self.make_metrics(self.info, protocol)

    @staticmethod
    @abstractmethod
    def out_channels(info: DatasetInfo) -> int:
        """K, the number of channels that the head must return."""

    @staticmethod
    @abstractmethod
    def text(info: DatasetInfo) -> TextSpec:
        """The text for strategies that read text."""

    @staticmethod
    def output(info: DatasetInfo) -> nn.Module:
        """Converts the head's raw output to the task's units; by default the output is unchanged."""
        return nn.Identity()

    @staticmethod
    @abstractmethod
    def make_metrics(info: DatasetInfo, protocol: Any) -> Metric:
        """The metrics; `compute()` gives a dict."""

    @abstractmethod
    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """The training loss of one branch's (B, K, H, W)."""

    def auxiliary_loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """The training loss of an auxiliary head's (B, K, H, W); by default the same."""
        return self.loss(dense, batch)

    @abstractmethod
    def predict_batch(self, batch: Batch) -> Tensor:
        """What is scored: whole images by the protocol."""

    @abstractmethod
    def score(self, dense: Tensor, batch: Batch) -> None:
        """Add the prediction of a batch to the metrics."""

    @abstractmethod
    def perfect(self, batch: Batch) -> Tensor:
        """What `predict_batch` would return if it were right: the ground truth as a prediction."""

    @abstractmethod
    def figure(self, batch: Batch, dense: Tensor, i: int) -> Picture:
        """Image, ground truth, prediction and error of sample `i`, side by side."""

    @abstractmethod
    def baseline(self, train: PerceptionDataset, val: PerceptionDataset) -> dict[str, float]:
        """Metrics of the best image-independent prediction, under the names by which training logs them."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of all branches."""
        loss = self.total_loss(self.model(batch), batch)
        self._check_finite(loss, batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def prepare_scores(self, val: PerceptionDataset) -> None:
        """Give the metrics what they need of the whole data set before its first batch; by default nothing."""

    def on_validation_epoch_start(self) -> None:
        """See `prepare_scores`."""
        self.prepare_scores(self.trainer.datamodule.val)

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

    def error(self, dense: Tensor, batch: Batch) -> Tensor | None:
        """What is wrong at each pixel (B, h, w), or with each keypoint (B, K), for reports; by default nothing is known.

        Args:
            dense: see `predict_batch`.
            batch: with the ground truth.

        Returns:
            In `error_unit`; NaN where there is no ground truth.
        """
        return None

    def confidence(self, dense: Tensor, batch: Batch) -> Tensor:
        """How certain the model is, in [0, 1], in the shape of `error`; by default nothing is known, NaN."""
        error = self.error(dense, batch)
        assert error is not None
        return torch.full_like(error, torch.nan)

    def error_against(self, batch: Batch) -> Tensor | None:
        """What errors are drawn against, in the shape of `error`, such as depth; by default nothing."""
        return None

    def image_error(self, dense: Tensor, batch: Batch) -> float:
        """The error of the whole first image, by which reports order images; by default the mean of `error`."""
        error = self.error(dense[:1], batch)
        assert error is not None
        return float(error[0].float().nanmean())

    def confusion(self, dense: Tensor, batch: Batch) -> Tensor | None:
        """(K, K) pixels by true and predicted class; by default there are no classes."""
        return None

    def predict_step(self, batch: Batch, batch_idx: int) -> Case | None:
        """The case of a batch of one image, for a report; None where its error is not known."""
        dense = self.predict_batch(batch)
        error = self.error(dense, batch)
        if error is None or not torch.isfinite(error[0]).any():
            return None
        against, confusion = self.error_against(batch), self.confusion(dense, batch)
        return Case(
            batch.meta[0].path,
            self.image_error(dense, batch),
            self.figure(batch, dense, 0),
            samples_of(self.confidence(dense, batch)[0], error[0], None if against is None else against[0]),
            None if confusion is None else confusion.cpu().numpy(),
        )

    def total_loss(self, prediction: Prediction, batch: Batch) -> Tensor:
        """The weighted sum over branches."""
        loss = prediction.weight * self.loss(prediction.dense, batch)
        for extra in prediction.extras:
            term = self.auxiliary_loss if extra.auxiliary else self.loss
            loss = loss + extra.weight * term(extra.dense, batch)
        return loss

    def dense(self, batch: Batch) -> Tensor:
        """The model's prediction of a batch, without windows or mirror images."""
        return self.model(batch).dense

    def _check_finite(self, loss: Tensor, batch: Batch) -> None:
        if not torch.isfinite(loss):
            names = ", ".join(meta.path for meta in batch.meta)
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.global_step}. The batch was: {names}. Look at these images and "
                "their ground truth; if they are good, lower recipe.lr or use trainer.precision=32-true."
            )

    def configure_optimizers(self) -> Any:
        """The configured optimiser, its schedule stepped after every optimiser step."""
        assert self.optimizer_factory is not None
        total = int(self.trainer.estimated_stepping_batches)
        # Lightning refuses to clip gradients of a fused optimiser in mixed precision
        clips = self.trainer.gradient_clip_val is not None and str(self.trainer.precision).endswith("-mixed")
        optimizer, schedule = self.optimizer_factory.build(self.named_parameters(), total, fused=not clips)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to build the model again."""
        checkpoint["diffperc"] = self.provenance
