"""Reading image files; a bad one is named in the error."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from diffperc.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()  # decodes: a truncated file fails here and not later
        return image
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder, not an image.") from error
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
    if image.mode in ("F", "I"):
        raise DataError(f"{path}: holds 32-bit numbers, whose black and white are unknown; save it with 8 or 16 bits.")
    if image.mode.startswith("I;16"):  # Pillow would clip 16-bit grey instead of scaling it
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


def read_depth(path: Path, scale: float) -> NDArray[np.float32]:
    """(H, W) float32 metres; what was not measured is 0.

    Of an image: counts, of which 0 and the saturated 65535 mean "not measured". Of an npy file: metres, or counts if they
    are whole numbers; what is not finite, or below 0, was not measured.

    Args:
        scale: counts a metre, 1000 for millimetres, 256 for KITTI.

    Raises:
        DataError: missing, damaged, or not a single-channel image.
    """
    if path.suffix.lower() == ".npy":
        values = read_array(path)
    else:
        image = _open(path)
        if image.mode in ("1", "L", "P"):
            raise DataError(f"{path}: has 8 bits, too few for depth; save it with 16, or as an npy file of metres.")
        values = np.asarray(image)
    if values.ndim != 2:
        raise DataError(f"{path}: depth has one number a pixel, this file has the shape {values.shape}.")
    if np.issubdtype(values.dtype, np.integer):
        saturated = values.dtype.itemsize == 2 and values == np.iinfo(np.uint16).max
        return np.where(saturated | (values < 0), 0, values).astype(np.float32) / np.float32(scale)
    metres = values.astype(np.float32)
    return np.where(np.isfinite(metres) & (metres > 0), metres, np.float32(0))


def read_array(path: Path) -> NDArray[Any]:
    """The one array of numbers of an npy file; a single leading or trailing axis of one element is left out.

    Raises:
        DataError: missing, damaged, or something else.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as an npy file ({str(error).splitlines()[0]}); replace it.") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        kind = array.dtype if isinstance(array, np.ndarray) else "several arrays"
        raise DataError(f"{path}: must hold one array of numbers, found {kind}.")
    return array[0] if array.ndim == 3 and len(array) == 1 else array[..., 0] if array.shape[2:] == (1,) else array


def read_region(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8, 1 where a single-channel image is not 0.

    Raises:
        DataError: missing, damaged, or with colours.
    """
    pixels = np.asarray(_open(path))
    if pixels.ndim != 2:
        raise DataError(f"{path}: a mask of one object has one channel, this one has {pixels.shape[-1]}.")
    return (pixels != 0).astype(np.uint8)


def read_mask(path: Path, classes: int | Mapping[int, int], ignore: Collection[int] = ()) -> NDArray[np.uint8]:
    """(H, W) uint8 class ids from an 8-bit index png; of a palette image the indices, not the colours.

    Args:
        classes: how many classes the data set has, at most 255; or the class that each id in the file stands for.
        ignore: ids in the file that are not counted; they become 255.

    Raises:
        DataError: missing, damaged, not an index image, or with an id that is neither a class nor ignored.
    """
    image = _open(path)
    if image.mode not in ("L", "P"):
        raise DataError(
            f"{path}: a mask holds class ids in one 8-bit channel (L or P), this image has mode {image.mode}; save the ids."
        )
    class_of = {i: i for i in range(classes)} if isinstance(classes, int) else dict(classes)
    ids = np.asarray(image)
    present = np.flatnonzero(np.bincount(ids.reshape(-1), minlength=256)).tolist()
    unknown = [i for i in present if i not in class_of and i not in ignore]
    if unknown:
        ignored = f", and {_runs(ignore)} for what is not counted" if ignore else ""
        raise DataError(
            f"{path}: holds class id {unknown[0]}; the data set has {len(class_of)} classes ({_runs(class_of)}){ignored}. "
            "Replace the file, or correct the classes."
        )
    table = np.full(256, 255, np.uint8)
    table[list(class_of)] = list(class_of.values())
    table[list(ignore)] = 255
    return table[ids]


def _runs(numbers: Collection[int]) -> str:
    """Such as ``0-6, 9, 12-13``."""
    ordered = enumerate(sorted(numbers))
    runs = [[n for _, n in run] for _, run in groupby(ordered, lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def check_size(what: str, path: Path, values: NDArray[Any], image_path: Path, image: NDArray[np.uint8]) -> None:
    """Ground truth must have the size of its image.

    Args:
        what: the target, as the sentence calls it.
        path: its file.
        values: (H, W) or (H, W, C).

    Raises:
        DataError: it has another size.
    """
    size, expected = values.shape[:2], image.shape[:2]
    if size == expected:
        return
    turned = " (the image may be turned by its EXIF data)" if size == expected[::-1] else ""
    raise DataError(
        f"{path}: {what} is {size[1]}x{size[0]} pixels, its image {image_path.name} is {expected[1]}x{expected[0]}; they "
        f"must be equal{turned}."
    )
