"""A run that resumes is the same run."""

from __future__ import annotations

import logging
import math
import random
from typing import Any

import lightning as L
import numpy as np
import torch

log = logging.getLogger(__name__)
_KEY = "progress"


class ExactResume(L.Callback):
    """Continues training after any optimiser step with the very batches, augmentations and random numbers that followed.

    Everything random in a step is a function of the seed and the number of the step: the order and augmentation of samples
    (`diffperc.data.SeededSampler`), and, because all generators are seeded before each batch, what the network draws. So a
    checkpoint needs no generator's state, and may be continued by another number of processes or accumulated batches.

    Lightning keeps the progress of its loops as it was in the middle of whatever hook wrote the checkpoint, and repeats or
    skips batches and validations accordingly. Here the progress is made anew from the number of steps taken, and from
    whether the validation after the last of them is still to be done.
    """

    def __init__(self) -> None:
        self._resumed = False

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        validating = trainer.validating and not trainer.sanity_checking
        checkpoint[_KEY] = {
            "validation_due": validating and pl_module.validated_step != trainer.global_step,
            **_data_of(trainer).order(),
        }

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != "fit":
            return
        data = _data_of(trainer)
        kept = checkpoint.get(_KEY, {})
        for name, now in data.order().items():
            if kept.get(name, now) != now and trainer.is_global_zero:
                log.warning(
                    "note: the resumed run had %s %s and has %s now: from here on it reads other images than it would have.",
                    name,
                    kept[name],
                    now,
                )
        self._resumed = True
        batches, accumulated = data.batches_per_epoch(), trainer.accumulate_grad_batches
        steps, due = checkpoint["global_step"], bool(kept.get("validation_due", False))
        epoch, position = _place(steps, batches, accumulated, due)
        _set_progress(checkpoint["loops"]["fit_loop"], steps, epoch, position, batches, accumulated, due)
        samples = data.batch_size // accumulated
        data.start = {"epoch": epoch, "position": position * samples}

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._resumed:
            # Lightning counts the steps of its loggers separately, differently where a validation is skipped or repeated
            trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
            self._resumed = False
        _seed_all(_data_of(trainer).seed, trainer.global_step, batch_idx % trainer.accumulate_grad_batches)


def _data_of(trainer: L.Trainer) -> Any:
    return trainer.datamodule


def _seed_all(*numbers: int) -> None:
    """Seed all generators alike on every process, by which layers share what is random."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _place(steps: int, batches: int, accumulated: int, due: bool) -> tuple[int, int]:
    """The epoch after a number of steps, and how many of its batches are done: all, if its validation is due."""
    per_epoch = math.ceil(batches / accumulated)
    epoch, done = divmod(steps, per_epoch)
    if due and done == 0 and epoch > 0:
        epoch, done = epoch - 1, per_epoch
    return epoch, min(done * accumulated, batches)


def _set_progress(
    loop: dict[str, Any], steps: int, epoch: int, position: int, batches: int, accumulated: int, due: bool
) -> None:
    """Write the progress of Lightning's loops into a checkpoint, as it is between two batches, or before a validation."""
    begun = epoch + (position > 0)
    of_epochs = {"ready": begun, "started": begun, "processed": epoch, "completed": epoch}
    loop["epoch_progress"] = {"total": dict(of_epochs), "current": dict(of_epochs)}
    loop["epoch_loop.batch_progress"] = {
        "total": _all(epoch * batches + position),
        "current": _all(position),
        "is_last_batch": position == batches,
    }
    in_epoch = math.ceil(position / accumulated)
    counts = {"total": {"ready": steps, "completed": steps}, "current": {"ready": in_epoch, "completed": in_epoch}}
    loop["epoch_loop.scheduler_progress"] = counts
    loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"] = counts
    # begun, and none of its batches done
    of_validation = {"ready": int(due), "started": int(due), "processed": 0, "completed": 0}
    loop["epoch_loop.val_loop.batch_progress"] = {
        "total": dict(of_validation),
        "current": dict(of_validation),
        "is_last_batch": False,
    }
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] = steps - due
    loop["state_dict"].pop("combined_loader", None)


def _all(count: int) -> dict[str, int]:
    return {"ready": count, "started": count, "processed": count, "completed": count}
