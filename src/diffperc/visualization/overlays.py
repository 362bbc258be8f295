"""Masks, regions and skeletons drawn over images."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from diffperc.types import KeypointSpec, Picture
from diffperc.visualization.colours import RGB, Legend, class_colours

_MIDLINE: RGB = (240, 240, 240)
_SIDES: dict[str, RGB] = {"left": (230, 159, 0), "right": (30, 120, 220)}


def overlay(image: Picture, mask: NDArray[np.integer], colours: NDArray[np.uint8], weight: float = 0.6) -> Picture:
    """Class ids (H, W) as colours over an image (H, W, 3); ids beyond the colours (ignored) leave it dark."""
    known = mask < len(colours)
    flat = colours[np.where(known, mask, 0)].astype(np.float32)
    mixed = (1 - weight) * image + weight * flat
    return np.where(known[..., None], mixed, image * 0.35).round().astype(np.uint8)


def outlined(image: Picture, mask: NDArray[np.bool_], rgb: tuple[int, int, int]) -> Picture:
    """An image with a region tinted and its border drawn."""
    tinted = image.copy()
    tinted[mask] = (0.55 * image[mask] + 0.45 * np.array(rgb)).astype(np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn: Picture = cv2.drawContours(tinted, contours, -1, rgb, max(1, round(min(image.shape[:2]) / 250)))
    return drawn


def class_shares(mask: NDArray[np.integer], names: Sequence[str]) -> dict[int, float]:
    """Class ids that occur and their shares of the pixels, the largest first; ids beyond the names (ignored) left out."""
    counts = np.bincount(mask[mask < len(names)].ravel(), minlength=len(names))
    ordered = np.argsort(-counts, kind="stable")
    return {int(i): float(counts[i] / mask.size) for i in ordered if counts[i]}


def legend_of(names: Sequence[str], mask: NDArray[np.integer], shares: bool = True) -> Legend:
    """Name and colour of each class, the largest first.

    Args:
        names: in the order of their ids.
        mask: class ids of any shape; ids beyond the names (ignored) are left out.
        shares: write the share of the pixels behind each name.
    """
    colours = class_colours(len(names))
    found = class_shares(mask, names).items()
    return [(f"{names[i]} {share:.0%}" if shares else names[i], rgb_of(colours[i])) for i, share in found]


def rgb_of(colour: NDArray[np.uint8]) -> RGB:
    """(3,) uint8 as whole numbers of Python, which OpenCV and matplotlib expect."""
    red, green, blue = colour.tolist()
    return red, green, blue


def skeleton(image: Picture, points: NDArray[np.floating], shown: NDArray[np.bool_], spec: KeypointSpec) -> Picture:
    """A skeleton over an image: left limbs orange, right limbs blue, the midline white.

    Args:
        points: (K, 2) x, y in pixels.
        shown: (K,) which of them to draw.
    """
    drawn = image.copy()
    thick = max(1, round(min(image.shape[:2]) / 110))
    pixels = np.nan_to_num(points).round().astype(int).tolist()
    colours = [_side(name) for name in spec.names]
    for a, b in spec.skeleton:
        if shown[a] and shown[b]:
            rgb = colours[a] if colours[a] == colours[b] else _MIDLINE
            cv2.line(drawn, pixels[a], pixels[b], rgb, thick, cv2.LINE_AA)
    for i in np.flatnonzero(shown):
        cv2.circle(drawn, pixels[i], thick + 1, colours[i], -1, cv2.LINE_AA)
    return drawn


def _side(name: str) -> RGB:
    return _SIDES.get(name.partition("_")[0], _MIDLINE)


def boxed(image: Picture, box: tuple[float, float, float, float]) -> Picture:
    """A box (x, y, width, height) in pixels drawn thinly over an image."""
    x, y, width, height = (round(side) for side in box)
    drawn = image.copy()
    return cv2.rectangle(drawn, (x, y), (x + width - 1, y + height - 1), _MIDLINE, max(1, min(image.shape[:2]) // 250))
