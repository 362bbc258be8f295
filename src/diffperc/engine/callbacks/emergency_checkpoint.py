"""A checkpoint that is written when an error or the user stops a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L


class EmergencyCheckpoint(L.Callback):
    """Writes ``interrupted.ckpt``, from which a run resumes with ``ckpt=``, unless no step has been taken yet.

    Lightning has `OnExceptionCheckpoint` for this, but where that is used, `fit` loads the last checkpoint it finds even
    if none was asked for. In a distributed run nothing is written, because saving would wait for the other processes,
    which may have ended; the checkpoint of the last validation remains.

    Args:
        folder: where checkpoints are written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "interrupted.ckpt"

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        if trainer.global_step > 0 and trainer.world_size == 1:
            trainer.save_checkpoint(self.path)
            print(f"training so far is saved; resume with ckpt={self.path}")
