"""Progress: a rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar


class RichProgress(RichProgressBar):
    """Lightning's rich bar, which shows loss and it/s, with the task's metric and without the logger's version."""

    def get_metrics(self, trainer: L.Trainer, pl_module: Any) -> dict[str, Any]:
        """The numbers shown beside the bar."""
        metrics: dict[str, Any] = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        name = pl_module.monitor[0]
        if name in trainer.callback_metrics:
            metrics[name] = f"{trainer.callback_metrics[name]:.3f}"
        return metrics


class PlainProgress(L.Callback):
    """One line every few seconds and one after every validation.

    Args:
        seconds: between two lines.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self.seconds = seconds
        self._start = self._last = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._start = self._last = time.monotonic()
        self._first_step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.monotonic()
        if not trainer.is_global_zero or now - self._last < self.seconds:
            return
        self._last = now
        done, total = trainer.global_step, int(trainer.estimated_stepping_batches)
        speed = (done - self._first_step) / (now - self._start)
        minutes = (total - done) / speed / 60 if speed else math.nan
        loss = float(trainer.callback_metrics.get("train/loss", math.nan))
        print(f"step {done}/{total}  loss {loss:.4f}  {speed:.2f} it/s  {minutes:.1f} min left", flush=True)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        values = []
        for name, value in trainer.callback_metrics.items():
            if name.startswith("val/"):
                values.append(f"{name} {float(value):.4f}")
        print(f"validation at step {trainer.global_step}:", "  ".join(values), flush=True)
