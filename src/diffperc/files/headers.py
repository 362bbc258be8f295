"""What image files say beside the pixels that are used: facts that `inspect` and the start of training report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from diffperc.files.images import FORMATS
from diffperc.files.read import reading

_UPRIGHT = 1
_TWELVE_BITS = 4095


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image, of which more than its pixels is read: that may be damaged where they are not."""
    with reading(path, "an image", Exception), Image.open(path, formats=FORMATS) as image:
        yield image


def orientation(path: Path) -> int:
    """The EXIF orientation of an image that can be read; 1 is upright."""
    with _opened(path) as image:
        return int(image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT))


def image_facts(path: Path) -> tuple[str, ...]:
    """Clauses about an image that can be read, each to follow "3 images ": what of it is left out or changed."""
    facts = []
    turned = orientation(path)
    with _opened(path) as image:
        frames, mode = getattr(image, "n_frames", 1), image.mode
        if turned not in (0, _UPRIGHT):
            facts.append(f"are turned by their EXIF data (orientation {turned})")
        if frames > 1:
            facts.append(f"hold {frames} frames or pages, of which the first is used")
        if mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            facts.append("have an alpha channel, which is not used")
        if mode.startswith("I;16") and np.asarray(image).max() <= _TWELVE_BITS:
            facts.append(
                "hold 16 bits and no value above 4095, which looks like 12 bits and is nearly black; save them with 8 bits, "
                "or multiplied by 16"
            )
    return tuple(facts)


def read_ids(path: Path) -> tuple[NDArray[np.uint8], dict[int, tuple[int, ...]]]:
    """The ids of a mask as stored, and of a palette image the RGB of those that occur."""
    with _opened(path) as image:
        ids = np.asarray(image)
        palette = image.getpalette("RGB") if image.mode == "P" else None
    if palette is None:
        return ids, {}
    present = [int(i) for i in np.unique(ids) if 3 * i + 3 <= len(palette)]
    return ids, {i: tuple(palette[3 * i : 3 * i + 3]) for i in present}
