"""Reading image files. Errors name the file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from diffperc.errors import DataError
from diffperc.files.read import reading

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""What files of images may contain. Pillow opens others too, of which some start programs, as PostScript does."""
TWELVE_BITS = 4095
COUNTS_PER_METRE = "counts_per_metre"
"""The text of a png of depth that holds its scale."""
# Pillow warns from half of the size on that it refuses
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def open_image(file: Path | BinaryIO, name: str, pixels: int | None = None) -> Image.Image:
    """A Pillow image, decoded: a truncated file fails here and not later.

    Args:
        file: a path, or an open file.
        name: which image it is, for messages.
        pixels: the most that are decoded; None: the most that Pillow decodes.

    Raises:
        DataError: missing, damaged, too large, or not an image.
    """
    with reading(Path(name), "an image", Exception):  # damaged images raise nearly anything
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError as error:  # whose message repeats the path
            raise ValueError("not an image") from error
        except Image.DecompressionBombError as error:
            millions = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
            raise DataError(
                f"{name}: has more than {millions} million pixels, which are not read; make it smaller, or cut it."
            ) from error
        if pixels is not None and image.width * image.height > pixels:
            raise DataError(
                f"{name}: is {image.width}x{image.height} pixels, more than the {pixels} that are read; make it smaller."
            )
        image.load()
        return image


def _open(path: Path) -> Image.Image:
    return open_image(path, str(path))


def read_image(path: Path, turned: bool = True) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, turned upright by its EXIF orientation unless `turned` is False.

    Raises:
        DataError: missing, damaged, or not an image.
    """
    image = _open(path)
    return rgb(ImageOps.exif_transpose(image) if turned else image, str(path))


def rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a Pillow image.

    Raises:
        DataError: its numbers have no known black and white; `name` says in the message which image it is.
    """
    if image.mode in ("F", "I"):
        raise DataError(f"{name}: holds 32-bit numbers, whose black and white are unknown; save it with 8 or 16 bits.")
    if image.mode.startswith("I;16"):  # Pillow would clip 16-bit grey instead of scaling it
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


def read_depth(path: Path, scale: float) -> NDArray[np.float32]:
    """(H, W) float32 metres, 0 where nothing was measured.

    An image holds counts, of which 0, 65535 and the largest number of the file's type mean "not measured". An npy file holds
    metres, or counts if they are whole numbers; values that are not finite or below 0 were not measured.

    Args:
        path: the file.
        scale: counts per metre: 1000 for millimetres, 256 for KITTI; a png that says its own, as predictions do, has that.

    Raises:
        DataError: missing, damaged, or not a single-channel image.
    """
    if path.suffix.lower() == ".npy":
        values = read_array(path)
    else:
        values, written = _read_counts(path)
        scale = written or scale
    if values.ndim != 2:
        raise DataError(f"{path}: depth has one number per pixel, this file has the shape {values.shape}.")
    metres = values.astype(np.float32)
    measured = np.isfinite(metres) & (metres > 0)
    if np.issubdtype(values.dtype, np.integer):
        metres = metres / np.float32(scale)
        # the largest number of the type, or of a narrower one in a wider, marks gaps
        gaps = [np.iinfo(kind).max for kind in (np.uint16, np.int32, np.uint32, values.dtype.type)]
        measured &= ~np.isin(values, gaps)
    return np.where(measured, metres, np.float32(0))


def _read_counts(path: Path) -> tuple[NDArray[Any], float | None]:
    """The counts, and how many make a metre where the file says so."""
    image = _open(path)
    if image.mode in ("1", "L", "P"):
        raise DataError(f"{path}: has 8 bits, too few for depth; save it with 16, or as an npy file of metres.")
    return np.asarray(image), _scale_in(image)


def _scale_in(image: Image.Image) -> float | None:
    try:
        written = float(image.info.get(COUNTS_PER_METRE, "nan"))
    except (TypeError, ValueError):
        written = math.nan
    return written if written > 0 else None


def written_scale(path: Path) -> float | None:
    """The counts per metre that a file of depth says itself; None if it says none."""
    if path.suffix.lower() == ".npy":
        return None
    with Image.open(path, formats=FORMATS) as image:
        return _scale_in(image)


def read_array(path: Path) -> NDArray[Any]:
    """The array of numbers in an npy file; of three axes, a first or last one of length 1 is dropped.

    Raises:
        DataError: missing, damaged, or of another kind.
    """
    with reading(path, "an npy file", Exception):  # a damaged header raises nearly anything
        # mapped: a header that promises more than the file has allocates nothing
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: must hold one array of numbers, found several arrays.")
    if array.dtype.kind not in "fiu":
        raise DataError(f"{path}: must hold one array of numbers, found {array.dtype}.")
    array = np.array(array)
    if array.ndim == 3 and len(array) == 1:
        return array[0]
    if array.shape[2:] == (1,):
        return array[..., 0]
    return array


def read_region(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8, 1 where a single-channel image is not 0.

    Raises:
        DataError: missing, damaged, or with several channels.
    """
    image = _open(path)
    _check_lossless(image, path)
    pixels = np.asarray(image)
    if pixels.ndim != 2:
        raise DataError(f"{path}: a mask of one object has one channel, this one has {pixels.shape[-1]}.")
    return (pixels != 0).astype(np.uint8)


def _check_lossless(image: Image.Image, path: Path) -> None:
    if image.format == "JPEG":
        raise DataError(
            f"{path}: is a jpg, which changes the values along the borders of a mask; save the original as png."
        )


def read_mask(path: Path, classes: int | Mapping[int, int], ignore: Collection[int] = ()) -> NDArray[np.uint8]:
    """(H, W) uint8 class ids from an 8-bit index png; for a palette image the indices, not the colours.

    Args:
        path: the file.
        classes: how many classes the data set has, at most 255; or the class of each id in the file.
        ignore: ids in the file that are not counted; they become 255.

    Raises:
        DataError: missing, damaged, not an index image, or with an id that is neither a class nor ignored.
    """
    image = _open(path)
    _check_lossless(image, path)
    if image.mode not in ("L", "P"):
        raise DataError(
            f"{path}: a mask holds class ids in one 8-bit channel (L or P), this image has mode {image.mode}; save the ids."
        )
    class_of = dict(enumerate(range(classes))) if isinstance(classes, int) else dict(classes)
    ids = np.asarray(image)
    present = set(np.flatnonzero(np.bincount(ids.reshape(-1), minlength=256)).tolist())
    unknown = present.difference(class_of, ignore)
    if unknown:
        ignored = f", and {_runs(ignore)} for pixels that are not counted" if ignore else ""
        remedy = ",".join(map(str, sorted({*ignore, *unknown})))
        raise DataError(
            f"{path}: holds class id {_runs(unknown)}; the data set has {len(class_of)} classes ({_runs(class_of)})"
            f"{ignored}. Correct the classes, or, if it is not to be counted, set dataset.ignore=[{remedy}]."
        )
    table = np.full(256, 255, np.uint8)
    table[list(class_of)] = list(class_of.values())
    table[list(ignore)] = 255
    return table[ids]


def _runs(numbers: Collection[int]) -> str:
    """Such as ``0-6, 9, 12-13``."""
    present = set(numbers)
    firsts = sorted(number for number in present if number - 1 not in present)
    lasts = sorted(number for number in present if number + 1 not in present)
    runs = []
    for first, last in zip(firsts, lasts, strict=True):
        runs.append(f"{first}" if first == last else f"{first}-{last}")
    return ", ".join(runs)


def check_size(what: str, path: Path, values: NDArray[Any], image_path: Path, image: NDArray[np.uint8]) -> None:
    """Check that ground truth has the size of its image.

    Args:
        what: the target's name in the message.
        path: the target's file.
        values: (H, W) or (H, W, C).
        image_path: the image's file.
        image: (H, W, 3).

    Raises:
        DataError: the sizes differ.
    """
    size, expected = values.shape[:2], image.shape[:2]
    if size == expected:
        return
    turned = ""
    if size == expected[::-1]:
        turned = " (the image may be turned by its EXIF data; dataset.exif=stored leaves it as it is in the file)"
    raise DataError(
        f"{path}: {what} is {size[1]}x{size[0]} pixels, its image {image_path.name} is {expected[1]}x{expected[0]}; they "
        f"must be equal{turned}."
    )
