"""Reading image files; a bad one is named in the error."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from diffperc.errors import DataError


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()  # decodes: a truncated file fails here and not later
        return image
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        # Pillow repeats the path in some of its messages
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error).splitlines()[0]
        raise DataError(f"{path}: cannot be read as an image ({reason}); replace or remove it.") from error


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Raises:
        DataError: missing, damaged, or no image.
    """
    image = ImageOps.exif_transpose(_open(path))
    if image.mode.startswith("I;16"):  # Pillow would clip 16-bit grey instead of scaling it
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


def read_depth(path: Path, scale: float) -> NDArray[np.float32]:
    """(H, W) float32 metres from a 16-bit png; 0 and the saturated 65535 mean "not measured" and become 0.

    Args:
        scale: counts a metre, 1000 for millimetres, 256 for KITTI.

    Raises:
        DataError: missing, damaged, or not a single-channel image.
    """
    counts = np.asarray(_open(path))
    if counts.ndim != 2:
        raise DataError(f"{path}: a depth image has one channel, this one has {counts.shape[-1]}.")
    return np.where(counts == np.iinfo(np.uint16).max, 0, counts).astype(np.float32) / np.float32(scale)


def read_mask(path: Path, classes: int, ignore: Collection[int] = ()) -> NDArray[np.uint8]:
    """(H, W) uint8 class ids from an 8-bit index png; of a palette image the indices, not the colours.

    Args:
        classes: how many classes the data set has, at most 255.
        ignore: ids in the file that are not counted; they become 255.

    Raises:
        DataError: missing, damaged, not an index image, or with an id that is neither a class nor ignored.
    """
    image = _open(path)
    if image.mode not in ("L", "P"):
        raise DataError(
            f"{path}: a mask holds class ids in one 8-bit channel (mode L or P), this image has mode {image.mode}."
        )
    ids = np.asarray(image)
    present = np.flatnonzero(np.bincount(ids.reshape(-1), minlength=256))
    unknown = [int(i) for i in present if i >= classes and i not in ignore]
    if unknown:
        ignored = f", and {', '.join(map(str, sorted(ignore)))} for what is not counted" if ignore else ""
        raise DataError(
            f"{path}: holds class id {unknown[0]}; the data set has {classes} classes (0-{classes - 1}){ignored}. "
            "Replace the file, or correct the classes."
        )
    table = np.arange(256, dtype=np.uint8)
    table[list(ignore)] = 255
    return table[ids]


def read_list(dataset: str, root: Path, name: str, holds: str, names: str) -> list[tuple[str, list[str]]]:
    """The words of each line of a list of frames, with where it stands, for messages; empty lines are left out.

    Args:
        dataset: as its class is called.
        root: the data set's folder.
        name: of the list in it.
        holds: what the folder should hold.
        names: what the list names.

    Raises:
        DataError: there is no such folder or list, or the list is empty.
    """
    if not root.is_dir():
        raise DataError(
            f"{dataset}: there is no folder '{root}'. Set dataset.root=/path/to/{dataset.lower()}, the folder that holds "
            f"{holds}."
        )
    file = root / name
    if not file.is_file():
        raise DataError(f"{dataset}: no list '{name}' in {root}; it names {names} of each frame.")
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    found = [(f"{file}, line {number}", line.split()) for number, line in lines if line.split()]
    if not found:
        raise DataError(f"{file}: names no frame.")
    return found
