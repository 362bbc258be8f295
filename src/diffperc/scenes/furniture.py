"""Objects as groups of primitives.

A builder returns primitives at their nominal size in metres, standing on z = 0 around the origin. Furniture faces +y,
so that a sofa has its back at -y.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import TypeVar

import numpy as np

from diffperc.scenes.palette import COLOURS, PALETTE, mix
from diffperc.scenes.shapes import Material, Primitive, Vec3

T = TypeVar("T")
Primitives = tuple[Primitive, ...]
Builder = Callable[[np.random.Generator, Material], Primitives]

_WOODS = (PALETTE["brown"], (0.42, 0.27, 0.14), (0.13, 0.07, 0.04), (0.55, 0.42, 0.26))
_METALS = ((0.09, 0.09, 0.10), (0.45, 0.46, 0.48), (0.75, 0.75, 0.74))


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """One of the items, all equally likely (repeat an item to weight it)."""
    return items[int(rng.integers(len(items)))]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A uniform number in [low, high)."""
    return low + (high - low) * float(rng.random())


def frame_material(rng: np.random.Generator) -> Material:
    """Wood or metal for legs and poles."""
    return Material(pick(rng, _WOODS + _METALS), gloss=0.15)


def _block(low: Vec3, high: Vec3, material: Material, tilt: float = 0.0) -> Primitive:
    """The box between two opposite corners."""
    x, y, z = ((a + b) / 2 for a, b in zip(low, high, strict=True))
    a, b, c = ((b - a) / 2 for a, b in zip(low, high, strict=True))
    return Primitive("box", (x, y, z), (a, b, c), material, tilt=tilt)


def _round(
    radius: float, bottom: float, top: float, material: Material, at: tuple[float, float] = (0, 0), taper: float = 1
) -> Primitive:
    """An upright cylinder or cone from one height to another; `radius` is the radius of its bottom."""
    centre, half = (at[0], at[1], (bottom + top) / 2), (radius, radius, (top - bottom) / 2)
    return Primitive("frustum", centre, half, material, taper=taper)


def _legs(x: float, y: float, height: float, thick: float, material: Material) -> Primitives:
    """Four square legs with their outer corners at +-x, +-y."""
    spans = product(((-x, thick - x), (x - thick, x)), ((-y, thick - y), (y - thick, y)))
    return tuple(_block((left, back, 0.0), (right, front, height), material) for (left, right), (back, front) in spans)


def _box(rng: np.random.Generator, main: Material) -> Primitives:
    x, y, z = (between(rng, 0.17, 0.34) for _ in range(3))
    return (_block((-x, -y, 0), (x, y, 2 * z), main),)


def _sphere(rng: np.random.Generator, main: Material) -> Primitives:
    radius = between(rng, 0.2, 0.32)
    return (Primitive("ellipsoid", (0, 0, radius), (radius, radius, radius), main),)


def _cylinder(rng: np.random.Generator, main: Material) -> Primitives:
    return (_round(between(rng, 0.14, 0.28), 0, between(rng, 0.4, 0.9), main),)


def _cone(rng: np.random.Generator, main: Material) -> Primitives:
    radius = between(rng, 0.2, 0.32)
    if rng.random() < 0.3:  # a traffic cone, on its square foot
        foot = _block((-radius * 1.15, -radius * 1.15, 0), (radius * 1.15, radius * 1.15, 0.04), main)
        return (foot, _round(radius, 0.04, between(rng, 0.55, 0.85), main, taper=0.15))
    return (_round(radius, 0, between(rng, 0.45, 0.8), main, taper=0),)


def _table(rng: np.random.Generator, main: Material) -> Primitives:
    frame, height = frame_material(rng), between(rng, 0.62, 0.76)
    if rng.random() < 0.3:
        radius = between(rng, 0.45, 0.6)
        top = _round(radius, height - 0.05, height, main)
        return (top, _round(0.05, 0.04, height - 0.05, frame), _round(radius * 0.6, 0, 0.04, frame))
    x, y = between(rng, 0.5, 0.8), between(rng, 0.35, 0.5)
    top = _block((-x, -y, height - 0.05), (x, y, height), main)
    if rng.random() < 0.35:  # a desk: a drawer unit under one end
        drawers = _block((x - 0.4, -y + 0.04, 0), (x - 0.04, y - 0.06, height - 0.05), frame)
        return (top, drawers, *_legs(x - 0.03, y - 0.03, height - 0.05, 0.05, frame)[:2])
    return (top, *_legs(x - 0.03, y - 0.03, height - 0.05, 0.06, frame))


def _chair(rng: np.random.Generator, main: Material) -> Primitives:
    frame, half, seat = frame_material(rng), between(rng, 0.2, 0.25), between(rng, 0.42, 0.48)
    cushion = _block((-half, -half, seat - 0.06), (half, half, seat), main)
    back = _block((-half, -half - 0.02, seat + 0.06), (half, -half + 0.03, seat + between(rng, 0.4, 0.55)), main, 0.14)
    if rng.random() < 0.3:  # an office chair: one column on a flat foot
        arm = _block((-0.03, -half - 0.01, seat - 0.04), (0.03, -half + 0.03, seat + 0.2), frame)
        return (cushion, back, arm, _round(0.03, 0.05, seat - 0.06, frame), _round(half, 0, 0.06, frame, taper=0.4))
    posts = tuple(
        _block((x - 0.02, -half - 0.01, seat - 0.04), (x + 0.02, -half + 0.03, seat + 0.2), frame, 0.14)
        for x in (0.04 - half, half - 0.04)
    )
    return (cushion, back, *posts, *_legs(half - 0.01, half - 0.01, seat - 0.06, 0.045, frame))


def _bed(rng: np.random.Generator, main: Material) -> Primitives:
    frame, x, y = frame_material(rng), between(rng, 0.48, 0.85), between(rng, 0.95, 1.05)
    linen = Material(PALETTE["white"])
    base = _block((-x, -y, 0.06), (x, y, 0.3), frame)
    mattress = _block((-x + 0.02, -y + 0.05, 0.3), (x - 0.02, y - 0.02, 0.46), linen)
    cover = _block((-x + 0.005, -y + 0.65, 0.28), (x - 0.005, y - 0.005, 0.5), main)
    head = _block((-x, -y - 0.06, 0), (x, -y, between(rng, 0.8, 1.1)), frame)
    places = (0.0,) if x < 0.65 else (-x / 2, x / 2)
    half = (min(0.34, 0.42 * x + 0.08), 0.2, 0.11)
    pillows = tuple(Primitive("ellipsoid", (at, -y + 0.33, 0.5), half, linen) for at in places)
    return (base, mattress, cover, head, *pillows)


def _sofa(rng: np.random.Generator, main: Material) -> Primitives:
    x = between(rng, 0.55, 1.0)
    darker = Material(mix(main.colour, PALETTE["black"], 0.25), main.accent, main.texture, main.scale)
    back = _block((-x, -0.42, 0.05), (x, -0.2, between(rng, 0.75, 0.9)), darker)
    arms = tuple(_block((s * x - 0.09, -0.4, 0.05), (s * x + 0.09, 0.42, 0.58), darker) for s in (-1, 1))
    count = 2 if x > 0.75 else 1
    width = 2 * (x - 0.09) / count
    seats = tuple(
        _block((0.09 - x + i * width + 0.01, -0.2, 0.08), (0.09 - x + (i + 1) * width - 0.01, 0.4, 0.43), main)
        for i in range(count)
    )
    return (back, *arms, *seats)


def _shelf(rng: np.random.Generator, main: Material) -> Primitives:
    x, y, height = between(rng, 0.35, 0.6), between(rng, 0.15, 0.2), between(rng, 1.2, 1.8)
    sides = tuple(_block((s * x - 0.02, -y, 0), (s * x + 0.02, y, height), main) for s in (-1, 1))
    back = _block((-x, -y - 0.015, 0.02), (x, -y, height), Material(mix(main.colour, PALETTE["black"], 0.35)))
    count = int(rng.integers(3, 5))
    levels = [0.06 + i * (height - 0.08) / count for i in range(count + 1)]
    boards = tuple(_block((0.02 - x, -y, z - 0.018), (x - 0.02, y, z + 0.018), main) for z in levels)
    contents = [_books(rng, x, y, z, levels[1] - levels[0]) for z in levels[:-1] if rng.random() < 0.85]
    return (*sides, back, *boards, *contents)


def _books(rng: np.random.Generator, x: float, y: float, z: float, space: float) -> Primitive:
    """A row of books, or a crate, on a board at the height z with half sizes x, y and some space above."""
    width = between(rng, 0.3, 0.9) * x
    at, tall = between(rng, width - x, x - width), space * between(rng, 0.5, 0.8)
    colours = PALETTE[pick(rng, COLOURS)], PALETTE[pick(rng, COLOURS)]
    material = Material(*colours, texture=pick(rng, ("striped", "striped", "plain")), scale=0.05)
    return _block((at - width, -y, z + 0.018), (at + width, y - 0.07, z + tall), material)


def _lamp(rng: np.random.Generator, main: Material) -> Primitives:
    frame, height = frame_material(rng), between(rng, 1.2, 1.5)
    shade = Material(main.colour, main.accent, main.texture, main.scale, main.turned, emission=1.6)
    radius = between(rng, 0.18, 0.26)
    cover = _round(radius, height - 0.3, height, shade, taper=between(rng, 0.5, 0.95))
    return (cover, _round(0.02, 0.03, height - 0.28, frame), _round(0.16, 0, 0.035, frame))


def _plant(rng: np.random.Generator, main: Material) -> Primitives:
    pot = _round(0.13, 0, 0.3, main, taper=1.4)
    green = mix(PALETTE["green"], (0.16, 0.3, 0.05), float(rng.random()))
    leaf = Material(green, mix(green, PALETTE["black"], 0.5), "striped", 0.07)
    if rng.random() < 0.45:  # a round bush on a stem
        stem = _round(0.025, 0.3, 0.75, Material(PALETTE["brown"]))
        foliage = Material(green, mix(green, (0, 0, 0), 0.45), "marbled", 0.12)
        crown = (
            Primitive("ellipsoid", (0, 0, 0.95), (0.27, 0.27, 0.27), foliage),
            Primitive("ellipsoid", (0.15, 0.08, 0.82), (0.19, 0.19, 0.19), foliage),
            Primitive("ellipsoid", (-0.13, -0.1, 0.84), (0.2, 0.2, 0.2), foliage),
        )
        return (pot, stem, *crown)
    count, leaves = int(rng.integers(5, 8)), []
    for i in range(count):
        angle, lean = 2 * math.pi * i / count + between(rng, 0, 0.5), between(rng, 0.25, 0.75)
        length = between(rng, 0.28, 0.45)
        out, up = math.sin(lean) * length, math.cos(lean) * length
        centre = (math.sin(angle) * out, -math.cos(angle) * out, 0.28 + up)
        leaves.append(Primitive("ellipsoid", centre, (0.085, 0.03, length), leaf, yaw=angle, tilt=lean))
    return (pot, *leaves)


BUILDERS: dict[str, Builder] = {
    "box": _box,
    "sphere": _sphere,
    "cylinder": _cylinder,
    "cone": _cone,
    "table": _table,
    "chair": _chair,
    "bed": _bed,
    "sofa": _sofa,
    "shelf": _shelf,
    "lamp": _lamp,
    "plant": _plant,
}
OBJECTS: tuple[str, ...] = tuple(BUILDERS)
