"""What all tasks share; a task adds its loss, metrics, protocol and pictures."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from diffperc.data import PerceptionDataset
from diffperc.errors import TrainingError
from diffperc.inference.pictures import Picture
from diffperc.inference.whole_image import predict_whole
from diffperc.model import PerceptionModel
from diffperc.tasks.optim import AdamW
from diffperc.types import Batch, DatasetInfo, Prediction


class PerceptionTask(L.LightningModule):
    """Trains and scores a `PerceptionModel`.

    Args:
        model: the network.
        info: of the data set.
        optimizer: None where nothing is trained.
        provenance: what `checkpoints` needs to build the model again; stored in every checkpoint.

    Attributes:
        requires: truths a data set must provide.
        monitor: the metric that chooses the best checkpoint, and its direction.
    """

    requires: ClassVar[tuple[str, ...]]
    monitor: ClassVar[tuple[str, str]]

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
        # the optimiser step of the last validation, and the mean time of a step
        self.validated_step = -1
        self.seconds_per_step = float("nan")
        self._train_seconds, self._steps, self._batch_start = 0.0, 0, 0.0

    @staticmethod
    @abstractmethod
    def out_channels(info: DatasetInfo) -> int:
        """K, channels the head must give."""

    @staticmethod
    @abstractmethod
    def output(info: DatasetInfo) -> nn.Module:
        """From the head's raw numbers to the task's units."""

    @staticmethod
    @abstractmethod
    def make_metrics(info: DatasetInfo) -> Metric:
        """The metrics; `update(dense, truth)`, `compute()` gives a dict."""

    @abstractmethod
    def loss(self, dense: Tensor, batch: Batch) -> Tensor:
        """The training loss of one branch's (B, K, H, W)."""

    @abstractmethod
    def truth(self, batch: Batch) -> Tensor:
        """The target the metrics compare with."""

    @abstractmethod
    def panels(self, batch: Batch, dense: Tensor, i: int) -> list[tuple[str, Picture]]:
        """Titled pictures of sample `i`: image, truth, prediction, error."""

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
        """Prediction by the protocol, scored; returned at the truth's size for the figures."""
        dense = self.predict_batch(batch)
        self.scores.update(dense, self.truth(batch))
        return dense

    def on_validation_epoch_end(self) -> None:
        """Log the metrics over all images of all processes."""
        self.log_dict({f"val/{name}": value for name, value in self.scores.compute().items()})
        self.scores.reset()
        self.validated_step = self.global_step

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Time of a batch, without loading and validation."""
        self._batch_start = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """See `on_train_batch_start`; the first batch warms up and does not count."""
        if self._steps > 0:
            self._train_seconds += time.perf_counter() - self._batch_start
            self.seconds_per_step = self._train_seconds / self._steps * self.trainer.accumulate_grad_batches
        self._steps += 1

    def total_loss(self, prediction: Prediction, batch: Batch) -> Tensor:
        """The weighted sum over branches."""
        loss = prediction.weight * self.loss(prediction.dense, batch)
        for _, weight, dense in prediction.extras:
            loss = loss + weight * self.loss(dense, batch)
        return loss

    def predict_batch(self, batch: Batch) -> Tensor:
        """Whole images by the data set's protocol, at the truth's size."""
        protocol = self.info.protocol
        windows, flip = (protocol.windows, protocol.flip) if protocol is not None else (1, False)
        dense = predict_whole(lambda b: self.model(b).dense, batch, windows, flip)
        size = self.truth(batch).shape[-2:]
        if dense.shape[-2:] != size:
            dense = F.interpolate(dense, size=size, mode="bilinear", align_corners=False)
        return dense

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
