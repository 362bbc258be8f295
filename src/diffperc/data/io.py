"""Reading image files; a bad one is named in the error."""

from __future__ import annotations

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
