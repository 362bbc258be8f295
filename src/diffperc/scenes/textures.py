"""Procedural surface textures, filtered by the size of a pixel on the surface.

Each pattern maps surface coordinates in metres to a blend in [0, 1] between a material's colour and its accent. Its
edges are as wide as a pixel, so that a distant chequerboard fades to its mean instead of flickering.
"""

from collections.abc import Callable

import numpy as np

from diffperc.scenes.shapes import Floats

Pattern = Callable[[Floats, Floats, Floats, float], Floats]


def _square(x: Floats, period: float, width: Floats) -> Floats:
    """Square wave in [-1, 1] of the given period, its edges `width` metres wide."""
    cycles = x * np.float32(1 / period)
    distance = np.abs(cycles - np.floor(cycles) - np.float32(0.5)) - np.float32(0.25)
    return np.clip(distance * np.float32(2 * period) / width, -1, 1)


def _line(x: Floats, period: float, thickness: float, width: Floats) -> Floats:
    """Coverage in [0, 1] of a line of the given thickness at every multiple of the period."""
    cycles = x * np.float32(1 / period)
    distance = np.abs(cycles - np.rint(cycles)) * np.float32(period)
    cover = np.clip((np.float32(thickness / 2) - distance) / width + np.float32(0.5), 0, 1)
    return cover * np.minimum(1, np.float32(thickness) / width)


def _tone(number: Floats) -> Floats:
    """A value in [0, 1) that looks random from one whole number to the next."""
    spread = np.sin(number * np.float32(12.9898)) * np.float32(43.758)
    return spread - np.floor(spread)


def _checkered(u: Floats, v: Floats, width: Floats, scale: float) -> Floats:
    return np.float32(0.5) + np.float32(0.5) * _square(u, 2 * scale, width) * _square(v, 2 * scale, width)


def _striped(u: Floats, v: Floats, width: Floats, scale: float) -> Floats:
    return np.float32(0.5) + np.float32(0.5) * _square(u, 2 * scale, width)


def _zigzag(u: Floats, v: Floats, width: Floats, scale: float) -> Floats:
    cycles = u * np.float32(0.5 / scale)
    bend = np.abs(cycles - np.floor(cycles) - np.float32(0.5)) * np.float32(2 * scale)
    return np.float32(0.5) + np.float32(0.5) * _square(v + bend, 2 * scale, width * np.float32(1.4))


def _dotted(u: Floats, v: Floats, width: Floats, scale: float) -> Floats:
    period = np.float32(2 * scale)
    row = np.rint(v / period)
    across = u / period + np.float32(0.5) * row  # every other row is shifted by half a period
    du, dv = (across - np.rint(across)) * period, v - row * period
    distance = np.sqrt(du * du + dv * dv)
    return np.clip((np.float32(0.58 * scale) - distance) / width + np.float32(0.5), 0, 1)


def _brick(u: Floats, v: Floats, width: Floats, scale: float) -> Floats:
    row = np.floor(v / np.float32(scale))
    across = u + row * np.float32(scale)
    mortar = np.maximum(_line(v, scale, 0.1 * scale, width), _line(across, 2 * scale, 0.1 * scale, width))
    tone = _tone(row * 7 + np.floor(across / np.float32(2 * scale)))
    return np.maximum(mortar, np.float32(0.28) * tone)


def _planked(u: Floats, v: Floats, width: Floats, scale: float) -> Floats:
    row = np.floor(u / np.float32(scale))
    along = v + _tone(row) * np.float32(6 * scale)
    tone = _tone(row * 5 + np.floor(along / np.float32(6 * scale)))
    gap = np.maximum(_line(u, scale, 0.07 * scale, width), _line(along, 6 * scale, 0.07 * scale, width))
    grain = np.sin(u * np.float32(40 / scale) + np.sin(along * np.float32(2 / scale)) * 3)
    fade = np.minimum(1, np.float32(0.04 * scale) / width)  # the grain is finer than most pixels
    return np.clip(np.maximum(gap, np.float32(0.45) * tone + np.float32(0.1) * grain * fade), 0, 1)


def _tiled(u: Floats, v: Floats, width: Floats, scale: float) -> Floats:
    grout = np.maximum(_line(u, scale, 0.07 * scale, width), _line(v, scale, 0.07 * scale, width))
    tone = _tone(np.floor(u / np.float32(scale)) * 3 + np.floor(v / np.float32(scale)) * 11)
    return np.maximum(grout, np.float32(0.12) * tone)


def _marbled(u: Floats, v: Floats, width: Floats, scale: float) -> Floats:
    x, y = u * np.float32(2 / scale), v * np.float32(2 / scale)
    warp = np.sin(y * np.float32(0.7) + 2 * np.sin(x * np.float32(0.45)))
    vein = np.sin(x + y * np.float32(0.6) + 3 * warp + np.sin(x * np.float32(2.3) - y * np.float32(1.9)))
    fade = np.minimum(1, np.float32(scale) / (2 * width))
    return np.float32(0.5) + np.float32(0.5) * vein * fade


PATTERNS: dict[str, Pattern] = {
    "checkered": _checkered,
    "striped": _striped,
    "zigzag": _zigzag,
    "dotted": _dotted,
    "brick": _brick,
    "planked": _planked,
    "tiled": _tiled,
    "marbled": _marbled,
}
TEXTURES: tuple[str, ...] = ("plain", *PATTERNS)
