"""Writing checkpoints so that a sound one is never lost."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from diffperc.errors import TrainingError, WeightsError
from diffperc.weights.read import check_finite

PART = ".part"
"""The end of the name of a checkpoint that is being written."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, on the same file system, flushes to disk, and renames.

    Whatever happens in between, a full disk, a quota, SIGKILL, the file under its name is the old checkpoint or the whole
    new one. A checkpoint that cannot be written, or whose weights are not numbers, is not raised here, where only the first
    process of a distributed run is: it is printed, and `problem` holds it until the processes agree on what to do.

    Attributes:
        problem: why the last checkpoint was not written; None: it was.
        diverged: whether that is because the weights are not numbers.
        steps: by file, the optimiser step at which it was written.
    """

    def __init__(self) -> None:
        self.problem: TrainingError | None = None
        self.diverged = False
        self.steps: dict[Path, int] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        target = Path(path)
        part = target.with_name(target.name + PART)
        self.problem = None
        try:
            check_finite(checkpoint["state_dict"], str(target))
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, target)
            _flush_folder(target.parent)
            self.steps[target] = checkpoint["global_step"]
        except WeightsError:
            self.diverged = True
            self.problem = TrainingError(
                f"training has diverged: after step {checkpoint['global_step']} the weights are not numbers. "
                f"{_what_remains(target)} Lower recipe.lr, clip the gradient (trainer.gradient_clip_val=1), or use "
                "trainer.precision=32-true."
            )
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError where its writer fails
            with contextlib.suppress(OSError):
                part.unlink()
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0][:120]
            self.problem = TrainingError(f"{target}: cannot be written ({reason}). {_what_remains(target)}")
        if self.problem is not None:
            print(f"warning: {self.problem}", flush=True)


def _what_remains(target: Path) -> str:
    kept = sorted(file.name for file in target.parent.glob("*.ckpt")) if target.parent.is_dir() else []
    return f"What was written before is kept: {', '.join(kept)}." if kept else "Nothing was written before."


def _flush_folder(folder: Path) -> None:
    """Write the new name to disk too; not every system can open a folder."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(number)
    finally:
        os.close(number)
