"""A checkpoint of what was done when a run is stopped by an error or by the user."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import OnExceptionCheckpoint


class Rescue(OnExceptionCheckpoint):
    """``interrupted.ckpt``, to go on from with ``ckpt_path=``; nothing is written before the first step."""

    def __init__(self, dirpath: str) -> None:
        super().__init__(dirpath, "interrupted")

    def on_exception(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step > 0:
            super().on_exception(trainer, *args, **kwargs)
            print(f"what was done so far is in {self.ckpt_path}; go on with ckpt_path={self.ckpt_path}")
