"""The checkpoints that validations leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint

BEST = "best.safetensors"
LAST = "last.ckpt"


class BestAndLast(ModelCheckpoint):
    """``best.safetensors``, from which is predicted, and ``last.ckpt``, from which training resumes.

    Args:
        folder: of both.
        monitor: the metric that decides which is the best.
        mode: its direction, ``min`` or ``max``.
    """

    def __init__(self, folder: Path, monitor: str, mode: str) -> None:
        super().__init__(
            folder,
            "best",
            monitor=monitor,
            mode=mode,
            save_last=True,
            enable_version_counter=False,
            # as soon as there is a score: at the end of an epoch too, other callbacks may take their time first
            save_on_train_epoch_end=False,
        )
        self._folder = folder

    def format_checkpoint_name(self, metrics: Any, filename: str | None = None, *rest: Any, **more: Any) -> str:
        """The file of the best weights, or of the last ones."""
        return str(self._folder / (LAST if filename == self.CHECKPOINT_NAME_LAST else BEST))
