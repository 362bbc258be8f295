"""Writing results to files. Each file is written completely or not at all, whoever else writes into the folder."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffperc.types import Picture


def write_file(path: Path, save: Callable[[Path], Any]) -> None:
    """Let `save` write a temporary file beside the path, then rename it to the path."""
    # a name of its own: other processes may write a file of the same name, and a long name may get no longer
    unfinished = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        save(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_picture(path: Path, picture: Picture, **options: Any) -> None:
    """Write (H, W, 3) RGB, or (H, W) counts, as png; `options` are Pillow's."""
    write_file(path, lambda part: Image.fromarray(picture).save(part, "PNG", **options))


def write_text(path: Path, content: Any) -> None:
    """Write plain values as json."""
    write_file(path, lambda part: part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8"))


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as npy."""

    def save(part: Path) -> None:
        with part.open("wb") as file:  # np.save would append another ending to a path
            np.save(file, array)

    write_file(path, save)
