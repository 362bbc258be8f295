"""What a run costs: seconds per optimiser step and peak memory, logged beside the metrics."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch


class CostMonitor(L.Callback):
    """``cost/seconds_per_step`` and ``cost/peak_memory_gb``, logged at every validation.

    The time of a step is that of its batches, without loading and validation; the first batch is a warm-up and is not
    counted. On a GPU the memory is what torch has allocated, elsewhere the resident memory of this process (without its
    loader processes), both since the start of training.
    """

    def __init__(self) -> None:
        self._seconds, self._batches, self._start = 0.0, 0, 0.0
        self._accumulated = 1

    @property
    def seconds_per_step(self) -> float:
        """NaN before the second batch."""
        if self._batches < 2:
            return math.nan
        return self._seconds / (self._batches - 1) * self._accumulated

    @property
    def peak_memory_gb(self) -> float:
        """In 10^9 bytes; NaN where the operating system does not report it."""
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 1e9
        try:
            status = Path("/proc/self/status").read_text(encoding="ascii")
        except OSError:
            return math.nan
        kilobytes = status.partition("VmHWM:")[2].split()[0]
        return int(kilobytes) * 1024 / 1e9

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._accumulated = trainer.accumulate_grad_batches
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            return
        with contextlib.suppress(OSError):
            # otherwise the peak in a sweep would be that of all jobs so far
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._batches > 0:
            self._seconds += time.perf_counter() - self._start
        self._batches += 1

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking:
            return
        for name in ("seconds_per_step", "peak_memory_gb"):
            value = getattr(self, name)
            if not math.isnan(value):
                pl_module.log(f"cost/{name}", value)
