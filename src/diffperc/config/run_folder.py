"""Run folders: a new one for each run, whatever else starts in the same second."""

from __future__ import annotations

import datetime
import hashlib
import os
import sys
from pathlib import Path

from omegaconf import OmegaConf

from diffperc.errors import ConfigError

_TRIES = 1000


def reserve(folder: str | Path) -> Path:
    """Make a folder that did not exist: the given one, or one with ``-1``, ``-2``, ... behind its name.

    Raises:
        ConfigError: it cannot be made.
    """
    base = Path(folder)
    for number in range(_TRIES):
        place = base if number == 0 else base.with_name(f"{base.name}-{number}")
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError(no_folder(place, error)) from error
        return place
    raise ConfigError(f"{base}: {_TRIES} runs began in this second; choose another folder with hydra.run.dir=.")


def was_requeued() -> bool:
    """Whether SLURM has put this job into its queue again, so that it goes on."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0


def reserved(folder: str | Path) -> Path:
    """The folder of a new run, see `reserve`; in a job of SLURM, one that all its processes and restarts agree on.

    That is named after the job and the command, of which a job may have several.
    """
    job = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    number = "_".join(job) if all(job) else os.environ.get("SLURM_JOB_ID")  # type: ignore[arg-type]
    if number is None:
        return reserve(folder)
    command = hashlib.sha256("\0".join(sys.argv[1:]).encode(errors="surrogateescape")).hexdigest()[:8]
    place = Path("runs") / "slurm" / f"{number}-{command}"
    is_first = os.environ.get("SLURM_PROCID", "0") == "0"
    return reserve(place) if is_first and not was_requeued() else place


def no_folder(place: str | Path, error: OSError) -> str:
    """The sentence about a run folder that cannot be made."""
    return (
        f"the run folder {place} cannot be made ({error.strerror}); run in a folder in which you may write, or set "
        "hydra.run.dir=/path/to/folder."
    )


def run_folder(given: str | Path | None, parent: Path) -> Path:
    """The given folder, or a new one below `parent` that is named after the time."""
    if given is not None:
        return Path(given).expanduser()
    started = datetime.datetime.now()
    return reserve(parent / f"{started:%Y-%m-%d}" / f"{started:%H-%M-%S}")


def check_free(folder: Path, resumed: Path | None = None) -> None:
    """Check that a folder holds no other run.

    Args:
        folder: of the run that begins.
        resumed: the checkpoint from which it resumes.

    Raises:
        ConfigError: it holds checkpoints, and the run does not resume from one of them.
    """
    checkpoints = folder / "checkpoints"
    held = [*sorted(checkpoints.glob("best.safetensors")), *sorted(checkpoints.glob("*.ckpt"))]
    if held and not (resumed is not None and resumed.absolute().is_relative_to(checkpoints.absolute())):
        raise ConfigError(
            f"{folder}: holds another run, whose {held[-1].name} would be overwritten; choose another folder, or resume "
            f"that run with ckpt={folder}."
        )


# cached in the configuration, so that all that read it get one folder; as Hydra's own `now`
OmegaConf.register_new_resolver("reserved", lambda folder: str(reserved(folder)), use_cache=True, replace=True)
