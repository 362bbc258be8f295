"""What a run costs: seconds an optimiser step and peak memory, logged beside the metrics."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch


class CostMonitor(L.Callback):
    """``cost/seconds_per_step`` and ``cost/peak_memory_gb``, logged at every validation.

    A step's time is that of its batches without loading and validation; the first batch warms up and does not count.
    Memory is what torch has allocated on a GPU, elsewhere the resident memory of this process (without loaders), from
    the start of training.
    """

    def __init__(self) -> None:
        self._seconds, self._batches, self._start = 0.0, 0, 0.0
        self._accumulated = 1

    @property
    def seconds_per_step(self) -> float:
        """NaN before the second batch."""
        return self._seconds / (self._batches - 1) * self._accumulated if self._batches > 1 else float("nan")

    @property
    def peak_memory_gb(self) -> float:
        """In 10^9 bytes; NaN where the system does not tell."""
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 1e9
        try:
            status = Path("/proc/self/status").read_text(encoding="ascii")
        except OSError:
            return float("nan")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._accumulated = trainer.accumulate_grad_batches
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            return
        with contextlib.suppress(OSError):
            # in a sweep the peak would be that of all jobs so far
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._batches > 0:
            self._seconds += time.perf_counter() - self._start
        self._batches += 1

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.training or trainer.validating:
            values = {"seconds_per_step": self.seconds_per_step, "peak_memory_gb": self.peak_memory_gb}
            pl_module.log_dict({f"cost/{k}": v for k, v in values.items() if v == v})
