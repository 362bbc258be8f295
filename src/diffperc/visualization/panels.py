"""Titled images side by side, and rows of them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from diffperc.types import Picture

_TALLEST = 8
Legend = Sequence[tuple[str, tuple[int, int, int]]]


def panels(images: Sequence[tuple[str, Picture]], title: str = "", legend: Legend = ()) -> Picture:
    """Titled images of equal size side by side, as one image (h, w, 3); a title above, a legend below."""
    height, width = images[0][1].shape[:2]
    side, columns = 3.0, max(1, 2 * len(images))
    wrapped = "\n".join(textwrap.wrap(title, 40 * len(images)))
    above = 0.33 + 0.2 * (wrapped.count("\n") + 1 if title else 0)
    below = 0.02 + 0.19 * -(-len(legend) // columns)
    # a strip is drawn small instead of as a figure of any length
    tall = side * min(height / width, _TALLEST) + above + below
    figure = Figure(figsize=(side * len(images), tall), dpi=100)
    canvas = FigureCanvasAgg(figure)
    for axis, (name, image) in zip(np.ravel(figure.subplots(1, len(images))), images, strict=True):
        axis.imshow(image)
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
    """Images below one another, in one or several columns, on white."""
    wide = max(row.shape[1] for row in rows)
    lines = []
    for start in range(0, len(rows), columns):
        line = rows[start : start + columns]
        tall = max(row.shape[0] for row in line)
        canvas = np.full((tall, wide * columns, 3), 255, np.uint8)
        for i, row in enumerate(line):
            canvas[: row.shape[0], i * wide : i * wide + row.shape[1]] = row
        lines.append(canvas)
    return np.concatenate(lines)
