"""Masks, regions and skeletons drawn over images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from diffperc.types import KeypointSpec, Picture
from diffperc.visualization.colours import RGB, class_colours

Legend = list[tuple[str, RGB]]
_MIDLINE: RGB = (0, 200, 80)
_SIDES: dict[str, RGB] = {"left": (255, 140, 0), "right": (30, 144, 255)}


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


def legend_of(names: tuple[str, ...], ids: NDArray[np.integer]) -> Legend:
    """Name and colour of each class id that occurs; ids beyond the names (ignored) are left out."""
    colours = class_colours(len(names))
    occurring = np.intersect1d(ids, np.arange(len(names)))
    return [(names[i], rgb_of(colours[i])) for i in occurring]


def rgb_of(colour: NDArray[np.uint8]) -> RGB:
    """(3,) uint8 as whole numbers of Python, which OpenCV and matplotlib expect."""
    red, green, blue = colour.tolist()
    return red, green, blue


def skeleton(image: Picture, points: NDArray[np.floating], shown: NDArray[np.bool_], spec: KeypointSpec) -> Picture:
    """A skeleton over an image: left limbs orange, right limbs blue, the midline green.

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
