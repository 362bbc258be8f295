"""An exponential moving average of the weights."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class WeightAverage(WeightAveraging):
    """Lightning's average, by which validation and prediction are made, from whose checkpoints training resumes exactly.

    Lightning's replaces the trained weights with their average when training ends, and in the checkpoints that are written
    during a validation: training would go on from the average. It also averages weights that are not trained, on the CPU.

    Args:
        decay: share of the average that stays at an optimiser step.
    """

    _swapped = False

    def __init__(self, decay: float) -> None:
        def average(mean: Tensor, new: Tensor, _: Any) -> Tensor:
            # a weight that is not trained stays what it is to the bit, which decay * mean + (1 - decay) * new does not give
            return mean + (1 - decay) * (new - mean) if mean.is_floating_point() else new

        super().__init__(avg_fn=average)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the average on the device of the weights; what is not trained is there, and in checkpoints, once."""
        assert self._average_model is not None
        average = self._average_model.to(pl_module.device)
        for mean, weight in zip(average.module.parameters(), pl_module.parameters(), strict=True):
            if not weight.requires_grad:
                mean.data = weight.data

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep both; a checkpoint's ``state_dict`` is the average."""

    def _swap_models(self, pl_module: L.LightningModule) -> None:
        super()._swap_models(pl_module)
        self._swapped = not self._swapped

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._swapped:  # in a validation that is being stopped; the tensors of the checkpoint are those of the model
            self._swap_models(pl_module)
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
