"""Titled images side by side, keys below a picture, and rows of pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from diffperc.types import Picture
from diffperc.visualization.colours import RGB, Scale

Titled = tuple[str, Picture] | tuple[str, Picture, Scale]
"""A title, a picture (H, W, 3), and the scale of its colours if they stand for numbers."""
Legend = Sequence[tuple[str, RGB]]
_TALLEST = 8
_SIDE, _BAR = 3.0, 0.42  # inches: of a panel, and of the room for its colour bar
_DOTS = 100  # per inch
_NARROWEST = 320  # pixels of a key


def panel_figure(images: Sequence[Titled], title: str = "", legend: Legend = ()) -> Figure:
    """Titled images of equal size side by side; a title above, colour bars and a legend below."""
    height, width = images[0][1].shape[:2]
    columns = max(1, 2 * len(images))
    wrapped = "\n".join(textwrap.wrap(title, 40 * len(images)))
    above = 0.33 + 0.2 * (wrapped.count("\n") + 1 if title else 0)
    below = 0.04 + 0.16 * -(-len(legend) // columns)
    bars = _BAR if any(len(panel) == 3 for panel in images) else 0.0
    # a strip is drawn small instead of as a figure of any length
    tall = _SIDE * min(height / width, _TALLEST) + above + bars + below
    figure = Figure(figsize=(_SIDE * len(images), tall), dpi=_DOTS)
    axes = np.ravel(figure.subplots(1, len(images)))
    figure.subplots_adjust(0.005, (below + bars) / tall, 0.995, 1 - above / tall, 0.02, 0)
    for axis, panel in zip(axes, images, strict=True):
        axis.imshow(panel[1])
        axis.set_title(panel[0], fontsize=9)
        axis.axis("off")
        if len(panel) == 3:
            left, _, wide, _ = axis.get_position().bounds
            place = (left + 0.06 * wide, (below + bars - 0.14) / tall, 0.88 * wide, 0.09 / tall)
            _colour_bar(figure.add_axes(place), panel[2])
    if title:
        figure.suptitle(wrapped, fontsize=11, y=1 - 0.04 / tall, va="top")
    if legend:
        _legend(figure, legend, columns)
    return figure


def panels(images: Sequence[Titled], title: str = "", legend: Legend = ()) -> Picture:
    """What `panel_figure` draws, as an image (h, w, 3)."""
    return rasterised(panel_figure(images, title, legend))


def rasterised(figure: Figure) -> Picture:
    """A figure as an image (h, w, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def with_key(picture: Picture, key: Scale | Legend, note: str = "") -> Picture:
    """A picture at its own size, with what its colours mean below it.

    Args:
        picture: (H, W, 3).
        key: a colour bar, or labels with their colours.
        note: a sentence below the picture, such as that nothing was found.
    """
    wide = max(picture.shape[1], _NARROWEST) / _DOTS
    lines = textwrap.wrap(note, max(20, int(wide * 14)))
    words = 0.2 * len(lines)
    columns = max(1, int(wide / 1.5))
    keys = _BAR if isinstance(key, Scale) else 0.155 * -(-len(key) // columns) + 0.1 * bool(key)
    if not words + keys:
        return picture
    tall = words + keys + 0.06
    figure = Figure(figsize=(wide, tall), dpi=_DOTS)
    if lines:
        # an expression may hold dollar signs, which are no formula
        figure.text(0.5, 1 - 0.04 / tall, "\n".join(lines), fontsize=9, ha="center", va="top", parse_math=False)
    if isinstance(key, Scale):
        _colour_bar(figure.add_axes((0.06, (_BAR - 0.12) / tall, 0.88, 0.1 / tall)), key)
    elif key:
        _legend(figure, key, columns)
    return stacked([picture, rasterised(figure)])


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


def _colour_bar(axes: Axes, scale: Scale) -> None:
    """A horizontal colour bar, its unit behind the largest number."""
    shown = ScalarMappable(Normalize(scale.low, max(scale.high, scale.low + 1e-9)), scale.colormap)
    bar = axes.figure.colorbar(shown, cax=axes, orientation="horizontal")
    ticks = [scale.low, (scale.low + scale.high) / 2, scale.high]
    digits = 0 if scale.high - scale.low >= 10 else 1 if scale.high - scale.low >= 1 else 2
    labels = [f"{tick:.{digits}f}" for tick in ticks]
    labels[-1] += f" {scale.unit}" if scale.unit else ""
    bar.set_ticks(ticks, labels=labels)
    bar.ax.tick_params(labelsize=7.5, length=2, pad=1.5)
    bar.outline.set_linewidth(0.4)


def _legend(figure: Figure, legend: Legend, columns: int) -> None:
    handles = [Patch(facecolor=np.array(rgb) / 255, edgecolor="0.4", linewidth=0.4, label=name) for name, rgb in legend]
    figure.legend(handles=handles, loc="lower center", ncols=columns, fontsize=7.5, frameon=False, borderpad=0,
                  labelspacing=0.3, handlelength=1.2, columnspacing=1.0)  # fmt: skip
