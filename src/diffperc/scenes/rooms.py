"""The types of room: how large each one is, how it is decorated and what stands in it."""

from dataclasses import dataclass

import numpy as np

from diffperc.scenes.furniture import between, frame_material, pick
from diffperc.scenes.palette import COLOURS, PALETTE, mix
from diffperc.scenes.shapes import Material, Primitive, Vec3

Range = tuple[float, float]
WALL_YAWS = (-np.pi / 2, np.pi / 2, 0.0, np.pi)
"""Yaw of furniture backed against the wall at low x, high x, low y and high y."""


@dataclass(frozen=True, slots=True)
class RoomType:
    """What rooms of a type are like. Lengths are in metres; a repeated item is more likely.

    The longest diagonal stays below MAX_DEPTH.
    """

    width: Range
    length: Range
    height: Range
    required: tuple[str, ...]
    """Kinds placed first, in this order."""
    extras: tuple[str, ...]
    """Kinds that fill the room up."""
    count: tuple[int, int]
    """Least and greatest number of objects to place."""
    walls: tuple[str, ...]
    wall_textures: tuple[str, ...]
    floors: tuple[str, ...]
    floor_textures: tuple[str, ...]
    decor: tuple[str, ...]
    warmth: Range
    """Colour temperature of the light, 0 (cold) to 1 (warm)."""


ROOM_TYPES: dict[str, RoomType] = {
    "bedroom": RoomType(
        (3.0, 4.4), (3.2, 4.8), (2.4, 2.8), ("bed",), ("lamp", "shelf", "chair", "plant", "table", "box", "sphere"),
        (3, 6), ("pink", "blue", "purple", "white", "yellow", "green"), ("plain", "plain", "striped", "dotted"),
        ("brown", "brown", "gray", "pink", "blue"), ("planked", "planked", "plain", "marbled"),
        ("window", "picture", "rug", "rug", "door"), (0.5, 1.0),
    ),
    "office": RoomType(
        (3.2, 5.2), (3.5, 5.8), (2.5, 2.9), ("table", "chair"), ("shelf", "shelf", "chair", "lamp", "plant", "cylinder",
        "table", "box"), (4, 7), ("white", "gray", "white", "cyan", "yellow"), ("plain", "plain", "plain", "tiled"),
        ("gray", "gray", "blue", "green", "brown"), ("checkered", "plain", "tiled", "marbled"),
        ("window", "window", "picture", "door"), (0.0, 0.5),
    ),
    "living_room": RoomType(
        (3.8, 5.6), (4.0, 6.0), (2.5, 3.0), ("sofa", "table"), ("sofa", "lamp", "lamp", "plant", "plant", "shelf",
        "chair", "sphere", "box"), (4, 7), ("orange", "yellow", "green", "red", "white", "cyan"),
        ("plain", "plain", "striped", "marbled", "zigzag"), ("brown", "brown", "orange", "gray"),
        ("planked", "planked", "marbled"), ("window", "picture", "picture", "rug", "rug"), (0.4, 1.0),
    ),
    "dining_room": RoomType(
        (3.4, 4.8), (3.6, 5.4), (2.5, 2.9), ("table", "chair", "chair", "chair"), ("chair", "plant", "shelf", "lamp",
        "cylinder"), (5, 8), ("red", "orange", "green", "white", "blue"), ("plain", "plain", "striped", "brick"),
        ("brown", "white", "black", "gray"), ("checkered", "checkered", "planked", "tiled"),
        ("window", "picture", "picture", "door"), (0.5, 1.0),
    ),
    "playroom": RoomType(
        (3.2, 5.2), (3.4, 5.6), (2.4, 2.8), ("sphere", "box"), ("sphere", "cone", "cylinder", "box", "sphere", "cone",
        "chair", "table", "box"), (5, 8), ("yellow", "cyan", "pink", "green", "orange", "blue"),
        ("dotted", "checkered", "plain", "striped", "zigzag"), ("red", "blue", "green", "yellow", "purple", "cyan"),
        ("checkered", "plain", "dotted", "tiled"), ("window", "rug", "rug", "picture"), (0.2, 0.8),
    ),
    "storeroom": RoomType(
        (2.8, 4.4), (3.0, 5.2), (2.3, 2.8), ("shelf", "box", "box"), ("box", "box", "cylinder", "cylinder", "cone",
        "shelf", "table"), (4, 8), ("gray", "brown", "white", "orange"), ("brick", "brick", "plain", "planked"),
        ("gray", "gray", "brown", "black"), ("plain", "marbled", "tiled", "planked"), ("door",), (0.2, 0.9),
    ),
    "corridor": RoomType(
        (1.7, 2.4), (6.0, 8.6), (2.3, 2.7), ("plant",), ("chair", "lamp", "box", "cylinder", "plant", "cone", "table"),
        (2, 5), ("white", "green", "gray", "cyan", "yellow"), ("plain", "plain", "tiled", "striped"),
        ("gray", "red", "blue", "white", "brown"), ("tiled", "checkered", "striped", "plain"),
        ("door", "door", "door", "picture"), (0.1, 0.7),
    ),
    "hall": RoomType(
        (5.2, 6.2), (6.0, 7.0), (3.0, 3.5), ("sofa", "plant"), ("plant", "cylinder", "sofa", "chair", "table", "sphere",
        "cone", "lamp"), (4, 8), ("white", "red", "purple", "gray", "blue", "yellow"),
        ("plain", "marbled", "brick", "striped"), ("white", "gray", "black", "red", "brown"),
        ("checkered", "marbled", "tiled", "zigzag"), ("door", "window", "picture", "rug"), (0.3, 0.9),
    ),
}  # fmt: skip
ROOMS: tuple[str, ...] = tuple(ROOM_TYPES)


def texture_colours(rng: np.random.Generator, colour: str, contrast: float) -> tuple[Vec3, Vec3]:
    """A slightly varied shade of a named colour and an accent lighter or darker than it."""
    shade = mix(PALETTE[colour], (0.5, 0.5, 0.5), between(rng, 0.0, 0.12))
    opposite = (0.02, 0.02, 0.02) if sum(shade) / 3 > 0.25 else (0.9, 0.9, 0.9)
    return shade, mix(shade, opposite, contrast)


def wall_point(wall: int, along: float, gap: float, width: float, length: float) -> tuple[float, float]:
    """Floor point at a distance `gap` from a wall (0-3: low x, high x, low y, high y), `along` in [0, 1] on it."""
    points = (
        (gap, along * length),
        (width - gap, along * length),
        (along * width, gap),
        (along * width, length - gap),
    )
    return points[wall]


def _panel(frame: Material, inner: Material, half: float, low: float, high: float) -> tuple[Primitive, ...]:
    """Two thin boxes around x = 0 with their back at y = 0: a frame, and what it holds from `low` to `high`."""
    middle, tall = (low + high) / 2, (high - low) / 2
    return (
        Primitive("box", (0, 0.01, middle), (half + 0.06, 0.015, tall + 0.06), frame),
        Primitive("box", (0, 0.02, middle), (half, 0.015, tall), inner),
    )


def _door(rng: np.random.Generator, height: float) -> tuple[Primitive, ...]:
    frame = frame_material(rng)
    paint = pick(rng, (PALETTE["brown"], PALETTE["white"], (0.3, 0.16, 0.08), (0.2, 0.3, 0.35)))
    return _panel(frame, Material(paint, gloss=0.1), 0.45, 0.0, 2.05)


def _window(rng: np.random.Generator, height: float) -> tuple[Primitive, ...]:
    half, low, high = between(rng, 0.45, 0.68), between(rng, 0.8, 1.0), min(height - 0.3, 2.15)
    sky = mix((0.45, 0.68, 0.95), (0.95, 0.85, 0.7), float(rng.random()) ** 2)
    inner = Material(sky, PALETTE["white"], "tiled", half, emission=0.8)
    return _panel(Material(PALETTE["white"]), inner, half, low, high)


def _picture(rng: np.random.Generator, height: float) -> tuple[Primitive, ...]:
    frame = frame_material(rng)
    half, high = between(rng, 0.25, 0.5), between(rng, 1.6, 1.9)
    colours = PALETTE[pick(rng, COLOURS)], PALETTE[pick(rng, COLOURS)]
    motif = pick(rng, ("marbled", "zigzag", "striped", "dotted"))
    inner = Material(*colours, texture=motif, scale=between(rng, 0.08, 0.2))
    return _panel(frame, inner, half, 1.2, high)


_PANELS = {"door": _door, "window": _window, "picture": _picture}


def _rug(rng: np.random.Generator, width: float, length: float) -> Primitive:
    shade, accent = texture_colours(rng, pick(rng, COLOURS), 0.6)
    texture = pick(rng, ("plain", "striped", "zigzag", "dotted", "checkered"))
    material = Material(shade, accent, texture, between(rng, 0.12, 0.3))
    half = (between(rng, 0.18, 0.3) * width, between(rng, 0.18, 0.3) * length, 0.006)
    centre = (width * between(rng, 0.4, 0.6), length * between(rng, 0.4, 0.6), 0.006)
    if rng.random() < 0.4:
        return Primitive("frustum", centre, (min(half[:2]) * 1.2, min(half[:2]) * 1.2, 0.006), material)
    return Primitive("box", centre, half, material, yaw=between(rng, -0.2, 0.2))


def decorate(rng: np.random.Generator, kind: RoomType, size: Vec3) -> tuple[tuple[str, Primitive], ...]:
    """Doors, windows, pictures and rugs for a room of that size, each primitive with the class it counts as."""
    width, length, height = size
    decor: list[tuple[str, Primitive]] = []
    if "rug" in kind.decor and rng.random() < 0.7:
        decor.append(("floor", _rug(rng, width, length)))
    hung = tuple(name for name in kind.decor if name != "rug")
    places = []
    for wall, span in enumerate((length, length, width, width)):
        if span > 4.2:
            places += [(wall, 0.28), (wall, 0.72)]
        else:
            places += [(wall, 0.5)]
    for wall, along in places:
        if rng.random() < 0.6:
            x, y = wall_point(wall, along + between(rng, -0.03, 0.03), 0.0, width, length)
            for part in _PANELS[pick(rng, hung)](rng, height):
                decor.append(("wall", part.placed((x, y, 0.0), WALL_YAWS[wall], 1.0)))
    return tuple(decor)
