"""Writing results to files. Each file is written completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffperc.types import Picture


def write_file(path: Path, save: Callable[[Path], Any]) -> None:
    """Let `save` write a temporary file beside the path, then rename it to the path."""
    unfinished = path.with_name(path.name + ".part")
    save(unfinished)
    os.replace(unfinished, path)


def write_picture(path: Path, picture: Picture, **options: Any) -> None:
    """Write (H, W, 3) RGB, or (H, W) counts, as png; `options` are Pillow's."""
    write_file(path, lambda part: Image.fromarray(picture).save(part, "PNG", **options))


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as npy."""

    def save(part: Path) -> None:
        with part.open("wb") as file:  # np.save would append another ending to a path
            np.save(file, array)

    write_file(path, save)
