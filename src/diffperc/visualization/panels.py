"""Pictures of results, as uint8 arrays."""

from __future__ import annotations

import colorsys
import textwrap
from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from diffperc.types.keypoints import KeypointSpec

Picture = NDArray[np.uint8]
Legend = Sequence[tuple[str, tuple[int, int, int]]]
TRUTH, FOUND = (46, 204, 64), (255, 65, 54)


def colour(values: NDArray[np.floating], low: float, high: float, colormap: str = "turbo") -> Picture:
    """(H, W) numbers to (H, W, 3) RGB; `low` and below is one end of the colormap, `high` the other; NaN is black."""
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    rgb = matplotlib.colormaps[colormap](np.nan_to_num(scaled))[..., :3] * 255
    rgb[np.isnan(values)] = 0
    return rgb.round().astype(np.uint8)


def class_colours(count: int) -> NDArray[np.uint8]:
    """(count, 3) RGB that neighbouring ids can be told apart by; the same for an id whatever the count."""
    golden = 0.618034  # steps around the hue circle that never meet
    rows = [
        colorsys.hsv_to_rgb((i * golden) % 1, (0.85, 0.55, 0.95)[i % 3], (0.9, 1.0, 0.6)[i % 3]) for i in range(count)
    ]
    return (np.array(rows) * 255).round().astype(np.uint8)


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


def skeleton(image: Picture, points: NDArray[np.floating], shown: NDArray[np.bool_], spec: KeypointSpec) -> Picture:
    """A figure over an image: left limbs orange, right ones blue, the midline green.

    Args:
        points: (K, 2) x, y in pixels.
        shown: (K,) which of them to draw.
    """
    drawn = image.copy()
    thick = max(1, round(min(image.shape[:2]) / 110))
    whole = np.nan_to_num(points).round().astype(int)

    def side(i: int) -> tuple[int, int, int]:
        name = spec.names[i]
        return (
            (255, 140, 0) if name.startswith("left") else (30, 144, 255) if name.startswith("right") else (0, 200, 80)
        )

    for a, b in spec.skeleton:
        if shown[a] and shown[b]:
            rgb = side(a) if side(a) == side(b) else (0, 200, 80)
            cv2.line(drawn, tuple(map(int, whole[a])), tuple(map(int, whole[b])), rgb, thick, cv2.LINE_AA)
    for i in np.flatnonzero(shown):
        cv2.circle(drawn, tuple(map(int, whole[i])), thick + 1, side(int(i)), -1, cv2.LINE_AA)
    return drawn


def panels(pictures: Sequence[tuple[str, Picture]], title: str = "", legend: Legend = ()) -> Picture:
    """Titled pictures of equal size side by side, as one (h, w, 3) picture; a title above, a legend below."""
    height, width = pictures[0][1].shape[:2]
    side, columns = 3.0, max(1, 2 * len(pictures))
    wrapped = "\n".join(textwrap.wrap(title, 40 * len(pictures)))
    above = 0.33 + 0.2 * (wrapped.count("\n") + 1 if title else 0)
    below = 0.02 + 0.19 * -(-len(legend) // columns)
    tall = side * height / width + above + below
    figure = Figure(figsize=(side * len(pictures), tall), dpi=100)
    canvas = FigureCanvasAgg(figure)
    for axis, (name, picture) in zip(np.ravel(figure.subplots(1, len(pictures))), pictures, strict=True):
        axis.imshow(picture)
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    if title:
        figure.suptitle(wrapped, fontsize=11, y=1 - 0.04 / tall, va="top")
    if legend:
        handles = [Patch(color=np.array(rgb) / 255, label=name) for name, rgb in legend]
        figure.legend(handles=handles, loc="lower center", ncols=columns, fontsize=7, frameon=False, borderpad=0,
                      labelspacing=0.3, handlelength=1.2, columnspacing=1.0)  # fmt: skip
    figure.subplots_adjust(0.005, below / tall, 0.995, 1 - above / tall, 0.02, 0)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def stacked(rows: Sequence[Picture], columns: int = 1) -> Picture:
    """Pictures below one another, filled up with white; in several columns if there are many."""
    lines = [rows[i : i + columns] for i in range(0, len(rows), columns)]
    wide = max(row.shape[1] for row in rows)
    done = []
    for line in lines:
        tall = max(row.shape[0] for row in line)
        filled = [*line, *[line[0][:1] * 0 + 255] * (columns - len(line))]
        done.append(np.concatenate([_padded(row, tall, wide) for row in filled], 1))
    return np.concatenate(done)


def _padded(row: Picture, tall: int, wide: int) -> Picture:
    return np.pad(row, ((0, tall - row.shape[0]), (0, wide - row.shape[1]), (0, 0)), constant_values=255)
