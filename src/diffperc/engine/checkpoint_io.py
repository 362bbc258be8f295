"""Writing checkpoints so that a sound one is never lost."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from diffperc.errors import TrainingError, WeightsError, first_line
from diffperc.weights.read import check_finite
from diffperc.weights.write import write_safetensors

PART = ".part"
"""The end of the name of a checkpoint that is being written."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, on the same file system, flushes to disk, and renames.

    The unfinished file has one name, so that what a kill leaves of it, gigabytes perhaps, is written over.

    Whatever happens in between, a full disk, a quota, SIGKILL, the file under its name is the old checkpoint or the whole
    new one. A checkpoint that cannot be written, or whose weights are not numbers, is not raised here, where only the first
    process of a distributed run is: it is printed, and `problem` has it until the processes agree on what to do.

    Attributes:
        problems: by file, why its last checkpoint was not written; a file that was written has none.
        diverged: whether the weights are not numbers.
        steps: by file, the optimiser step at which it was written.
    """

    def __init__(self) -> None:
        self.problems: dict[Path, TrainingError] = {}
        self.diverged = False
        self.steps: dict[Path, int] = {}

    @property
    def problem(self) -> TrainingError | None:
        """Why a file is not as new as it should be; None: all are."""
        return next(iter(self.problems.values()), None)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        target = Path(path)
        part = target.with_name(target.name + PART)
        self.problems.pop(target, None)
        try:
            check_finite(checkpoint["state_dict"], str(target))
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                _write(checkpoint, target, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, target)
            _flush_folder(target.parent)
            self.steps[target] = checkpoint["global_step"]
        except WeightsError:
            self.diverged = True
            self.problems[target] = TrainingError(
                f"training has diverged: after step {checkpoint['global_step']} the weights are not numbers. "
                f"{_what_remains(target)} Lower recipe.lr, clip the gradient (trainer.gradient_clip_val=1), or use "
                "trainer.precision=32-true."
            )
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError where its writer fails
            with contextlib.suppress(OSError):
                part.unlink()
            reason = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
            self.problems[target] = TrainingError(f"{target}: cannot be written ({reason}). {_what_remains(target)}")
        if target in self.problems:
            print(f"warning: {self.problems[target]}", flush=True)


def _write(checkpoint: dict[str, Any], target: Path, file: BinaryIO) -> None:
    """Everything; or, into a ``.safetensors`` file, what predictions need: the weights and what is known of their model."""
    if target.suffix == ".safetensors":
        about = {"diffperc": json.dumps(checkpoint["diffperc"]), "global_step": str(checkpoint["global_step"])}
        write_safetensors(file, checkpoint["state_dict"], about)
    else:
        torch.save(checkpoint, file)


def _what_remains(target: Path) -> str:
    kinds = (".ckpt", ".safetensors")
    kept = sorted(f.name for f in target.parent.iterdir() if f.suffix in kinds) if target.parent.is_dir() else []
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
