"""Figures of the first validation samples, written to disk and to every logger that takes images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL import Image
from torch import Tensor

from diffperc.types import Batch, Picture
from diffperc.visualization.panels import stacked


class Figures(L.Callback):
    """After every validation, one row of panels per sample: ``figures/step000123.png``.

    Args:
        folder: where the files go.
        count: how many samples.
    """

    def __init__(self, folder: str | Path, count: int = 6) -> None:
        self.folder, self.count = Path(folder), count
        self._rows: list[Picture] = []

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._rows = []

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if not trainer.is_global_zero or not isinstance(outputs, Tensor):
            return
        for i in range(min(len(batch), self.count - len(self._rows))):
            self._rows.append(pl_module.figure(batch, outputs, i))

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not self._rows:
            return
        figure = stacked(self._rows)
        step = trainer.global_step
        self.folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(figure).save(self.folder / f"step{step:06d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("val/figures", figure, step, dataformats="HWC")
            elif isinstance(logger, WandbLogger):
                logger.log_image("val/figures", [figure], step=step)
