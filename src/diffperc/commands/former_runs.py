"""What a former run has left: a finished job of a sweep, or a checkpoint from which to go on."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from omegaconf import DictConfig

from diffperc.checkpoints import checkpoint_in, newest_sound
from diffperc.config.run_folder import was_requeued
from diffperc.errors import CheckpointError

log = logging.getLogger(__name__)


def finished(folder: Path, command: str) -> float | None:
    """The score of a sweep's job that ended well when the sweep was typed before; None: it is to be run."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        score, before = summary["metrics"][summary["monitor"]], summary["command"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # how a job is begun says nothing of what it is; a score that is no number is null
    is_same = [w for w in before.split() if not w.startswith("resume=")] == [
        w for w in command.split() if not w.startswith("resume=")
    ]
    return float(score) if is_same and score is not None else None


def resumed_from(cfg: DictConfig, folder: Path) -> Path | None:
    """The checkpoint from which the run resumes; None: it begins anew."""
    # a job that SLURM has put into its queue again continues, whatever was typed
    if cfg.resume == "auto" or was_requeued():
        found = newest_sound(folder)
        damaged = sorted(file.name for file in (folder / "checkpoints").glob("*.ckpt"))
        if found is None and damaged:
            raise CheckpointError(
                f"{folder}: resume=auto finds no sound checkpoint ({', '.join(damaged)} damaged). Begin anew in another "
                "folder; the best weights there, if any, still predict."
            )
        if found is None:
            log.info("resume=auto: %s holds no checkpoint yet, the run begins", folder)
        if found is not None or cfg.ckpt is None:
            return found
    if cfg.ckpt is None:
        return None
    path = Path(str(cfg.ckpt)).expanduser()
    return (newest_sound(path) if path.is_dir() else None) or checkpoint_in(path, "last")
