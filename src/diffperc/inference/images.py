"""Images as users have them, as (H, W, 3) uint8 RGB; what cannot be told apart is refused."""

from __future__ import annotations

import io
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageOps

from diffperc.errors import DataError
from diffperc.files.images import TWELVE_BITS, open_image, read_image, rgb
from diffperc.types import Picture

if TYPE_CHECKING:
    from torch import Tensor

Image: TypeAlias = "str | Path | bytes | PILImage.Image | NDArray[Any] | Tensor"
"""One image: a file, an address, an encoded image, a Pillow image, an array or a tensor; see `picture`."""

_CHANNELS = (1, 2, 3, 4)
_LARGEST_DOWNLOAD = 200_000_000  # bytes
_SECONDS = 30.0


def images_of(given: Any) -> list[Any] | None:
    """The images of a list, a tuple, or an array or tensor of four axes; None for a single image."""
    if isinstance(given, list | tuple):
        return list(given)
    if (isinstance(given, np.ndarray) or _is_tensor(given)) and given.ndim == 4:
        return list(given)
    return None


def picture(given: Any) -> Picture:
    """(H, W, 3) uint8 RGB of one image.

    Grey becomes RGB, an alpha channel is left out, and an image is turned upright by its EXIF data. Of arrays and tensors
    the channels may be first or last, first in a tensor and last in an array where both are possible. Their numbers are

    - uint8, or other whole numbers from 0 to 255;
    - booleans: black and white;
    - uint16 from 0 to 65535, unless none is above 4095, which may be 12 bits;
    - floats from 0 to 1; or, with a largest of at least 2, from 0 to 255.

    Args:
        given: a path, an ``http(s)://`` address, bytes of an image file, a Pillow image, an array or a tensor: (H, W),
            (H, W, C) or (C, H, W) with C from 1 to 4.

    Raises:
        DataError: it is none of these, cannot be read, or its numbers can mean several things.
    """
    if isinstance(given, str) and given.startswith(("http://", "https://")):
        return decoded(_download(given), given)
    if isinstance(given, str | Path):
        return read_image(Path(given).expanduser())
    if isinstance(given, bytes | bytearray):
        return decoded(bytes(given), "image")
    if isinstance(given, PILImage.Image):
        return rgb(ImageOps.exif_transpose(given), "image")
    if _is_tensor(given):
        return _from_numbers(_channels_last(given.detach().cpu(), first=True))
    if isinstance(given, np.ndarray):
        return _from_numbers(_channels_last(given, first=False))
    raise DataError(
        f"image: must be a file, an address, bytes, a Pillow image, an array, a tensor, or a list of these, found "
        f"{type(given).__name__}."
    )


def _download(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            content: bytes = answer.read(_LARGEST_DOWNLOAD + 1)
    except (OSError, ValueError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"{address}: cannot be downloaded ({reason}); save the image and give the file.") from error
    if len(content) > _LARGEST_DOWNLOAD:
        raise DataError(f"{address}: is larger than {_LARGEST_DOWNLOAD // 10**6} MB; save the image and give the file.")
    return content


def decoded(content: bytes, name: str, pixels: int | None = None) -> Picture:
    """(H, W, 3) uint8 RGB of an encoded image, turned upright by its EXIF data.

    Args:
        content: of an image file.
        name: which image it is, for messages.
        pixels: see `open_image`.

    Raises:
        DataError: damaged, too large, or not an image.
    """
    return rgb(ImageOps.exif_transpose(open_image(io.BytesIO(content), name, pixels)), name)


def _channels_last(values: Any, first: bool) -> NDArray[Any]:
    """(H, W, C) of an array or tensor; `first`: whether channels are first where both are possible."""
    array = _as_numpy(values) if _is_tensor(values) else values
    if array.ndim == 2:
        array = array[..., None]
    leads = array.ndim == 3 and array.shape[0] in _CHANNELS
    trails = array.ndim == 3 and array.shape[2] in _CHANNELS
    if not array.size or not (leads or trails):
        raise DataError(
            f"image: must be (H, W), (H, W, C) or (C, H, W) with 1 to 4 channels, found {_described(values)}."
        )
    if leads and (first or not trails):
        return np.moveaxis(array, 0, -1)
    return array


def _is_tensor(values: Any) -> bool:
    """Whether these are a tensor of torch, which is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def _as_numpy(tensor: Tensor) -> NDArray[Any]:
    halved = str(tensor.dtype) in ("torch.bfloat16", "torch.float16")
    array: NDArray[Any] = (tensor.float() if halved else tensor).numpy()
    return array


def _described(values: Any) -> str:
    return f"{type(values).__name__} {tuple(values.shape)} {values.dtype}"


def _from_numbers(values: NDArray[Any]) -> Picture:
    """(H, W, 3) uint8 of (H, W, C)."""
    channels = values.shape[2]
    if channels in (2, 4):  # the last one is alpha
        values = values[..., : channels - 1]
    pixels = _as_bytes(values)
    return np.ascontiguousarray(np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels)


def _as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    kind = values.dtype.kind
    if values.dtype == np.uint8:
        return values
    if kind == "b":
        return values.astype(np.uint8) * 255
    if kind not in "iuf":
        raise DataError(f"image: must hold numbers, found {values.dtype}.")
    low, high = values.min(), values.max()
    if values.dtype == np.uint16 and high > TWELVE_BITS:
        return (values >> 8).astype(np.uint8)
    if values.dtype == np.uint16 and high > 255:
        raise DataError(
            f"image: uint16 with a largest number of {high} may have 12 or 16 bits; give (image >> 4).astype('uint8') or "
            "(image >> 8).astype('uint8')."
        )
    if not 0 <= low <= high <= 255:  # also if one is not a number
        raise DataError(
            f"image: must hold numbers from 0 to 255, or floats from 0 to 1, found {values.dtype} from {low:g} to {high:g}; "
            "undo a normalisation first."
        )
    if kind in "iu":
        return values.astype(np.uint8)
    if 1 < high < 2:
        raise DataError(
            f"image: floats from {low:g} to {high:g} are neither in [0, 1] nor in [0, 255]; clip them: image.clip(0, 1)."
        )
    return np.rint(values * (255 if high <= 1 else 1)).astype(np.uint8)
