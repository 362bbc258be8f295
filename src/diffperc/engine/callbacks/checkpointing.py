"""Checkpoints beside those of validations: by the clock, when the run is told to stop, and when an error stops it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn

from diffperc.engine.checkpoint_io import AtomicCheckpointIO
from diffperc.errors import Stopped, TrainingError

_SAVE, _REQUEUE, _END, _STOP = 1, 2, 3, 100
"""What a process asks of all: a checkpoint; one and a place in the queue; an end, as none can be written; an end by signal
number - 100. The largest is done."""


class Checkpointing(L.Callback):
    """Keeps ``last.ckpt`` such that at most a few minutes of training are lost, whatever ends it.

    It is written between two optimiser steps only, where a run can be continued exactly:

    - every `every_minutes`;
    - at SIGTERM and SIGINT (control-C; a second one ends at once), after which training ends with `Stopped`;
    - at SIGUSR1, after which training goes on. Under SLURM, Lightning's plugin then also puts the job into the queue again;
    - at an error, unless it came from the middle of an update of the weights.

    Args:
        path: absolute, of ``last.ckpt``.
        io: which writes it.
        every_minutes: None: at validations alone.
        on_failed_write: ``continue`` without the checkpoint, or ``stop``.
        updates_in_backward: weights change in the backward pass already.
    """

    def __init__(
        self,
        path: Path,
        io: AtomicCheckpointIO,
        every_minutes: float | None = None,
        on_failed_write: str = "continue",
        updates_in_backward: bool = False,
    ) -> None:
        self.path, self.io = path, io
        self.every_minutes, self.stop_on_failure = every_minutes, on_failed_write == "stop"
        self.updates_in_backward = updates_in_backward
        self._requeue: Any = None
        self._saved_at = 0.0
        self._signal = 0
        self._save_wanted = self._updating = False
        # of batch norms: the buffers, and what was in them before the batches of this step
        self._buffers: list[torch.Tensor] = []
        self._kept: list[torch.Tensor] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._buffers = _running_statistics(pl_module)
        self._saved_at, self._signal = time.monotonic(), 0
        if threading.current_thread() is not threading.main_thread():
            return  # Python does not let other threads handle signals
        before = signal.getsignal(signal.SIGUSR1)
        self._requeue = before if callable(before) else None
        # Lightning gives back the handlers that it found
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._received)

    def _received(self, number: int, frame: Any) -> None:
        if number == signal.SIGUSR1:
            self._save_wanted = True
            return
        if number == signal.SIGINT == self._signal:
            raise KeyboardInterrupt
        self._signal = number
        again = "; control-C again ends it at once" if number == signal.SIGINT else ""
        # print may be interrupted in the middle of itself
        os.write(
            2, f"{signal.Signals(number).name}: training ends after this step, with a checkpoint{again}\n".encode()
        )

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._kept = [buffer.clone() for buffer in self._buffers]
            self._act(trainer)

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        # the processes of a distributed run may have different numbers of batches, and agree in those that all have
        data: Any = trainer.datamodule
        if trainer.state.fn == "fit" and batch_idx < data.shared_val_batches():
            self._act(trainer, at_once=True)

    def _act(self, trainer: L.Trainer, at_once: bool = False) -> None:
        """Do what any process asks for; `at_once`: only what cannot wait for the end of a validation."""
        wanted = self._agreed(trainer, self._wanted(trainer))
        if wanted == _END:
            raise self.io.problem or TrainingError("the first process could not write its checkpoint, see its message.")
        if wanted >= _STOP:
            self.save(trainer)
            raise Stopped(wanted - _STOP, trainer.global_step, self.path, self.io.problems.get(self.path))
        if wanted and not at_once:
            self.save(trainer)
            if self.io.diverged and trainer.world_size == 1:  # several agree on it in the next step
                raise self.io.problem or TrainingError("training has diverged.")
            if wanted == _REQUEUE and self._requeue is not None:
                self._requeue(signal.SIGUSR1, None)
                if trainer.is_global_zero:  # a copy of last.ckpt, which the requeued job reads
                    for copy in Path(trainer.default_root_dir).glob("hpc_ckpt_*.ckpt"):
                        copy.unlink()
            self._save_wanted = False

    def _wanted(self, trainer: L.Trainer) -> int:
        if self._signal:
            return _STOP + self._signal
        if self.io.diverged or (self.io.problem is not None and self.stop_on_failure):
            return _END
        if self._save_wanted:
            return _REQUEUE
        late = self.every_minutes is not None and time.monotonic() - self._saved_at > self.every_minutes * 60
        return _SAVE if late and trainer.is_global_zero and trainer.global_step > 0 else 0

    @staticmethod
    def _agreed(trainer: L.Trainer, wanted: int) -> int:
        """The most urgent wish of all processes."""
        if trainer.world_size == 1:
            return wanted
        wishes = torch.tensor(wanted, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(wishes, reduce_op="max"))

    def save(self, trainer: L.Trainer) -> None:
        """Write ``last.ckpt``, unless it is of this step already."""
        self._saved_at = time.monotonic()
        # the first process writes and knows; all take part in writing
        if trainer.strategy.broadcast(self.io.steps.get(self.path)) != trainer.global_step:
            trainer.save_checkpoint(self.path)

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: torch.Tensor) -> None:
        self._updating = self.updates_in_backward

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        self._updating = True

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._updating = False

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.save(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, Stopped):
            return
        # saving would wait for the other processes, which may have ended
        if trainer.global_step > 0 and trainer.world_size == 1 and not self._updating:
            if self._kept:  # without the batches whose step was not taken
                for buffer, before in zip(self._buffers, self._kept, strict=True):
                    buffer.copy_(before)
            self.save(trainer)
        if self.path.is_file() and trainer.is_global_zero:
            print(f"training so far is saved in {self.path}", flush=True)


def _running_statistics(module: nn.Module) -> list[torch.Tensor]:
    """What batch norms keep of the batches that they have seen."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training]
    return [buffer for norm in norms for buffer in norm.buffers()]
