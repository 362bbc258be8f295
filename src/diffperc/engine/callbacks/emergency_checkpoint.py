"""A checkpoint of what was done when a run is stopped by an error or by the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L


class EmergencyCheckpoint(L.Callback):
    """``interrupted.ckpt``, from which a run resumes with ``ckpt=``; nothing is written before the first step.

    Not Lightning's `OnExceptionCheckpoint`, in whose presence `fit` loads the last checkpoint it finds unasked. In a
    distributed run the other processes may be gone, and saving would wait for them: the last validation's remains.

    Args:
        folder: of the checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "interrupted.ckpt"

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        if trainer.global_step > 0 and trainer.world_size == 1:
            trainer.save_checkpoint(self.path)
            print(f"what was done so far is kept; resume with ckpt={self.path}")
