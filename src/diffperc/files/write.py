"""Writing results to files. Each file is written completely or not at all, whoever else writes into the folder."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffperc.types import Picture


def write_file(path: Path, save: Callable[[Path], Any]) -> None:
    """Let `save` write a temporary file beside the path, then rename it to the path."""
    with unfinished(path) as part:
        save(part)


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A temporary file beside the path, which gets its name at the end; nothing is left of it after an error."""
    # a name of its own: other processes may write a file of the same name, and a long name may get no longer
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_picture(path: Path, picture: Picture, **options: Any) -> None:
    """Write (H, W, 3) RGB, or (H, W) counts, as png; `options` are Pillow's."""
    write_file(path, lambda part: Image.fromarray(picture).save(part, "PNG", **options))


def write_string(path: Path, content: str) -> None:
    """Write a text."""
    write_file(path, lambda part: part.write_text(content, encoding="utf-8"))


def write_text(path: Path, content: Any) -> None:
    """Write plain values as json."""
    write_string(path, json.dumps(content, indent=2) + "\n")


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as npy."""

    def save(part: Path) -> None:
        with part.open("wb") as file:  # np.save would append another ending to a path
            np.save(file, array)

    write_file(path, save)
