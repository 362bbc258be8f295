"""Finding the checkpoint from which a run continues."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path

from diffperc.checkpoints.native import read_checkpoint, steps_of
from diffperc.errors import CheckpointError

log = logging.getLogger(__name__)


def newest_sound(folder: str | Path) -> Path | None:
    """The undamaged checkpoint of a run folder that has been trained for most steps; None if there is none.

    Every byte is compared with the checksums in the file. What is damaged is skipped with a sentence.
    """
    found: list[tuple[int, bool, Path]] = []
    for file in sorted((Path(folder).expanduser() / "checkpoints").glob("*.ckpt")):
        try:
            step = steps_of(file, read_checkpoint(file))
            found.append((step, file.stem == "last", file))  # of several at one step, the last one written
        except (CheckpointError, OSError) as error:
            _skip(file, str(error))
    for _, _, file in sorted(found, reverse=True):
        broken = _broken_part(file)
        if broken is None:
            return file
        _skip(file, f"{file}: is damaged ({broken}).")
    return None


def _skip(file: Path, why: str) -> None:
    log.warning("note: %s is skipped, an older checkpoint is looked for. %s", file.name, why)


def _broken_part(file: Path) -> str | None:
    """What in a torch file differs from its checksum."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        return str(error)
