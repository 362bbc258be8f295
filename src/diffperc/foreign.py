"""Errors of libraries and of the system that a user can do something about, as sentences.

One place for all commands: what is not translated here is a mistake of diffperc's, see `report_unforeseen`.
"""

from __future__ import annotations

import errno
import platform
import re
import shlex
import sys
import tempfile
import time
import traceback
from pathlib import Path

from diffperc.errors import CheckpointError, ConfigError, DataError, DiffPercError, TrainingError, first_line, fixable
from diffperc.version import __version__

_ISSUES = "https://github.com/diffperc/diffperc/issues"
OF_PLACES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EACCES: "choose a place where you may read and write",
    errno.EPERM: "choose a place where you may read and write",
    errno.EROFS: "choose a place where you may write",
    errno.ENOENT: "it may have been moved or deleted meanwhile",
    errno.ENOTDIR: "choose another place",
    errno.EISDIR: "a file is needed there",
    errno.EEXIST: "choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower num_workers",
    errno.ENFILE: "close other programs",
    errno.EIO: "the disk or the network does not answer",
    errno.ESTALE: "the disk or the network does not answer",
    errno.ETIMEDOUT: "the disk or the network does not answer",
}
"""Kinds of `OSError` that are about a place and not about the program, and what helps."""
_TAKING_OVER = "torch.multiprocessing.reductions"  # where a tensor of another process becomes one of this
_LESS_MEMORY = "lower recipe.batch_size, recipe.eval_batch_size, the size of images, or num_workers"


def translated(error: BaseException) -> DiffPercError | None:
    """The error as one that a user can fix; None: it is a mistake of this program."""
    for one in _chain(error):
        mine = fixable(one) or _of_loader(one) or _of_system(one) or _of_torch(one)
        if mine is not None:
            return mine
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from: libraries wrap what they are given."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain and len(chain) < 10:
        chain.append(current)
        current = current.__cause__
    return chain


def _of_loader(error: BaseException) -> DiffPercError | None:
    """A loader process that was killed: torch's own error, or, while a batch is taken over from it, its lost connection."""
    worker = re.search(r"DataLoader worker \(pid[^)]*\) (.*)", str(error))
    if isinstance(error, RuntimeError) and worker:
        return _loader_ended(worker[1].splitlines()[0][:80])
    if isinstance(error, (OSError, EOFError)) and (
        "pin memory thread" in str(error)
        or any(frame.f_globals.get("__name__") == _TAKING_OVER for frame, _ in traceback.walk_tb(error.__traceback__))
    ):
        return _loader_ended(type(error).__name__)
    return None


def _loader_ended(how: str) -> TrainingError:
    return TrainingError(
        f"a loader process ended ({how}), mostly because memory was exhausted; lower num_workers, or set num_workers=0 "
        "to see an error of its own."
    )


def _of_system(error: BaseException) -> DiffPercError | None:
    if isinstance(error, OSError) and error.errno in OF_PLACES:
        place = error.filename if error.filename is not None else "a file"
        return DataError(
            f"{_short(place)}: {error.strerror}; {OF_PLACES[error.errno]}. What was written before is kept."
        )
    if isinstance(error, MemoryError):
        return DataError(f"memory is exhausted ({first_line(error)}); {_LESS_MEMORY}.")
    return None


def _of_torch(error: BaseException) -> DiffPercError | None:
    """torch raises RuntimeError for nearly everything."""
    text = str(error)
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:
        return TrainingError(
            f"memory is exhausted ({first_line(error)}); {_LESS_MEMORY}, or use trainer.precision=bf16-mixed."
        )
    if not isinstance(error, RuntimeError):
        return None
    if "shared memory" in text or "torch_shm_manager" in text:
        return TrainingError(
            f"there is no room for loader processes ({first_line(error)}); set num_workers=0, or enlarge /dev/shm."
        )
    if is_lost_connection(error):
        return TrainingError(
            f"the connection to another process of this run is lost; see its message ({first_line(error)})."
        )
    if "loading state_dict" in text:
        details = [line.strip() for line in text.splitlines()[1:2]]
        return CheckpointError(
            f"the checkpoint's tensors do not fit the model of this configuration ({' '.join(details)[:160]}); use the "
            "configuration it was trained with."
        )
    if '"srun"' in text:  # submitit's
        return ConfigError(
            "hydra/launcher: there is no SLURM here; use hydra/launcher=basic, or hydra/launcher=joblib."
        )
    if "CUDA error" in text or "cuDNN error" in text:
        return TrainingError(
            f"the GPU reports: {first_line(error)}. The same run on device=cpu or accelerator=cpu tells more."
        )
    return None


def is_lost_connection(error: BaseException) -> bool:
    """Whether another process of a distributed run has ended, as seen from this one."""
    lost = r"gloo|NCCL|Connection (closed|reset) by peer|ProcessGroup|TCPStore"
    return isinstance(error, RuntimeError) and re.search(lost, str(error)) is not None


def _short(place: object) -> str:
    text = str(place)
    return text if len(text) <= 200 else f"{text[:120]}...{text[-40:]}"


def report_unforeseen(error: BaseException, doing: str, folder: Path | None = None) -> str:
    """Write what is needed to find a mistake of this program into a file, and say so.

    Args:
        error: that nothing else has handled.
        doing: the command, such as ``diffperc train``.
        folder: of the run; None, or a folder that is gone: the system's folder for temporary files.

    Returns:
        The sentences to print.
    """
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}.txt"
    lines = [
        f"{doing}: {shlex.join(sys.argv)}",
        f"diffperc {__version__}, Python {platform.python_version()}, {platform.platform()}",
        "".join(traceback.format_exception(error)),
    ]
    where = "could not be written to a file, set HYDRA_FULL_ERROR=1 to see it"
    for place in filter(None, (folder, Path(tempfile.gettempdir()))):
        try:
            (place / name).write_text("\n".join(lines), encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        where = f"is in {place / name}"
        break
    return (
        f"{doing} met an error that it does not foresee: {type(error).__name__}: {first_line(error)}. This is a mistake of "
        f"diffperc's. The traceback {where}; please report it with that file: {_ISSUES}. What was written before is kept."
    )
