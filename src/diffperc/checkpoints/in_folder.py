"""Where a checkpoint is: in a run folder, or in the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from diffperc.errors import CheckpointError, did_you_mean


def checkpoint_in(path: str | Path, which: str | None = None) -> Path:
    """The checkpoint of a run folder or of the package, or the file itself.

    Args:
        path: a checkpoint, the folder of a run, or one of `trained_models`.
        which: ``best`` by the validation metric, ``last``, or another name of a file in ``checkpoints``; None for the
            best, or the last if training was stopped before its first validation.

    Raises:
        CheckpointError: the folder has no such checkpoint, or there is nothing of a name that could be a model's.
    """
    path = Path(path).expanduser()
    if not path.exists():
        shipped = trained_models()
        if str(path) in shipped:
            return shipped[str(path)]
        if not path.suffix and len(path.parts) == 1:
            raise CheckpointError(f"{path}: there is no such file or folder{did_you_mean(str(path), shipped)}")
    if not path.is_dir():
        return path
    folder = path / "checkpoints"
    wanted = ["best", "last"] if which is None else [which]
    for name in wanted:
        for suffix in (".safetensors", ".ckpt"):
            file = folder / f"{name}{suffix}"
            if file.is_file():
                return file
    known = sorted(file.stem for file in [*folder.glob("*.ckpt"), *folder.glob("best.*")])
    raise CheckpointError(f"{path}: has no checkpoint '{wanted[0]}'{did_you_mean(wanted[0], known)}")


def trained_models() -> dict[str, Path]:
    """The trained models that come with the package, by name."""
    folder = Path(str(resources.files("diffperc.assets"))) / "trained"
    return {file.parent.name: file for file in sorted(folder.glob("*/model.safetensors"))}
