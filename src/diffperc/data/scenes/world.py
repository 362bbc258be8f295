"""What a scene is made of, and how one is sampled from a seed and an index."""

import math
from dataclasses import dataclass, replace

import numpy as np

from .camera import Camera
from .furniture import BUILDERS, Parts, between, pick
from .palette import COLOURS, PALETTE, mix
from .rooms import ROOM_TYPES, ROOMS, WALL_YAWS, RoomType, decorate, texture_colours, wall_point
from .shapes import Material, Primitive, Vec3
from .textures import TEXTURES

MAX_DEPTH = 10.0
"""No depth in a sampled scene exceeds this, metres: it is longer than the diagonal of any room."""

SIZES: dict[str, tuple[float, float]] = {"small": (0.62, 0.75), "medium": (0.92, 1.08), "large": (1.3, 1.55)}
"""Range of the factor on a kind's nominal size; furniture uses a power of it (0.4)."""

_BASIC = ("box", "sphere", "cylinder", "cone")
_AT_WALL = ("bed", "sofa", "shelf")
_ON_TABLE = (*_BASIC, "plant", "lamp")
_TEXTURES = {
    **dict.fromkeys(_BASIC, ("plain", *TEXTURES)),
    **dict.fromkeys(("bed", "sofa", "chair"), ("plain", "plain", "striped", "checkered", "dotted", "zigzag")),
    **dict.fromkeys(("table", "shelf"), ("plain", "planked", "planked", "marbled")),
    **dict.fromkeys(("lamp", "plant"), ("plain", "plain", "striped", "dotted", "zigzag")),
}
_WOODEN = ("brown", "brown", "white", "black")


@dataclass(frozen=True, slots=True)
class Light:
    """A point light and the ambient light around it; radiances are linear RGB."""

    position: Vec3
    colour: Vec3
    ambient: Vec3
    exposure: float
    """Mean brightness the image is exposed for, linear, in (0, 1)."""


@dataclass(frozen=True, slots=True)
class Room:
    """A box-shaped room that spans [0, width] x [0, length] x [0, height] metres."""

    kind: str
    size: Vec3
    wall_colour: str
    floor_colour: str
    surfaces: tuple[Material, ...]
    """Materials of the walls at low x, high x, low y and high y, then of the floor and the ceiling."""
    decor: tuple[tuple[str, Primitive], ...]
    """Doors, windows, rugs, ...: primitives with the room class (floor, wall, ceiling) each counts as."""


@dataclass(frozen=True, slots=True)
class SceneObject:
    """A thing in the room, with the attributes that an expression may refer to."""

    kind: str
    colour: str
    size: str
    texture: str
    position: Vec3
    """Centre of its base, metres."""
    yaw: float
    extent: Vec3
    """Half width, half depth and height in its own frame, metres."""
    primitives: Parts
    support: int | None = None
    """Index of the object that it stands on; None: the floor."""

    @property
    def centre(self) -> Vec3:
        """Point half-way up above its base, metres."""
        x, y, z = self.position
        return (x, y, z + self.extent[2] / 2)


@dataclass(frozen=True, slots=True)
class Scene:
    """A room, what stands in it, its light and the camera that looks at it."""

    seed: int
    index: int
    room: Room
    camera: Camera
    light: Light
    objects: tuple[SceneObject, ...]


def footprint(extent: Vec3, yaw: float) -> tuple[float, float]:
    """Half sizes along world x and y of the floor rectangle that an object covers, metres."""
    c, s = abs(math.cos(yaw)), abs(math.sin(yaw))
    return (c * extent[0] + s * extent[1], s * extent[0] + c * extent[1])


def sample_scene(seed: int, index: int) -> Scene:
    """The scene of that number: a function of (seed, index) alone. Both must be non-negative."""
    rng = np.random.default_rng((seed, index))
    name = pick(rng, ROOMS)
    kind = ROOM_TYPES[name]
    size = (between(rng, *kind.width), between(rng, *kind.length), between(rng, *kind.height))
    room, light = _room(rng, name, size), _light(rng, kind, size)
    wanted = int(rng.integers(kind.count[0], kind.count[1] + 1))
    objects: tuple[SceneObject, ...] = ()
    while not objects:  # an awkward camera may leave no place in view
        camera = _camera(rng, size)
        objects = _furnish(rng, kind, size, camera, wanted)
    x, y, _ = light.position
    bulb = Material(light.colour, emission=3.0)
    fixture = Primitive("frustum", (x, y, size[2] - 0.03), (0.2, 0.2, 0.03), bulb)
    room = replace(room, decor=(*room.decor, ("ceiling", fixture)))
    return Scene(seed, index, room, camera, light, objects)


def _room(rng: np.random.Generator, name: str, size: Vec3) -> Room:
    kind = ROOM_TYPES[name]
    # One in five rooms ignores the palette of its type, so that colour alone does not give the type away.
    wall, floor = (pick(rng, named if rng.random() < 0.8 else COLOURS) for named in (kind.walls, kind.floors))
    shade, accent = texture_colours(rng, wall, between(rng, 0.1, 0.4))
    shade = mix(shade, PALETTE["white"], between(rng, 0.0, 0.35))
    texture = pick(rng, kind.wall_textures)
    papered = Material(shade, accent, texture, between(rng, 0.1, 0.3), texture == "planked" and rng.random() < 0.5)
    ground, joint = texture_colours(rng, floor, between(rng, 0.35, 0.8))
    turned, gloss = bool(rng.random() < 0.5), pick(rng, (0.0, 0.0, 0.15, 0.3))
    paved = Material(ground, joint, pick(rng, kind.floor_textures), between(rng, 0.15, 0.45), turned, gloss)
    walls = [papered] * 4
    if rng.random() < 0.3:  # one wall differs
        walls[int(rng.integers(4))] = Material(texture_colours(rng, pick(rng, COLOURS), 0.3)[0])
    ceiling = Material(mix(PALETTE["white"], shade, between(rng, 0.0, 0.3)))
    return Room(name, size, wall, floor, (*walls, paved, ceiling), decorate(rng, kind, size))


def _light(rng: np.random.Generator, kind: RoomType, size: Vec3) -> Light:
    warm = mix((0.86, 0.95, 1.1), (1.15, 0.92, 0.66), between(rng, *kind.warmth))
    power, fill = between(rng, 2.2, 3.4), between(rng, 0.22, 0.5)
    x, y = size[0] * between(rng, 0.32, 0.68), size[1] * between(rng, 0.32, 0.68)
    ambient = mix((fill, fill, fill), (fill * warm[0], fill * warm[1], fill * warm[2]), 0.5)
    colour = (power * warm[0], power * warm[1], power * warm[2])
    return Light((x, y, size[2] - between(rng, 0.25, 0.45)), colour, ambient, between(rng, 0.17, 0.3))


def _camera(rng: np.random.Generator, size: Vec3) -> Camera:
    """A camera at about eye height: near a wall and looking across the room, or anywhere and looking anywhere.

    The free views are what makes depth hard to guess without looking: a wall may be at arm's length or at the far end.
    """
    width, length, _ = size
    z = between(rng, 1.35, 1.6)
    fov = between(rng, 1.02, 1.08)
    if rng.random() < 0.55:
        x, y = between(rng, 0.35, width - 0.35), between(rng, 0.35, length - 0.35)
        return Camera((x, y, z), between(rng, -math.pi, math.pi), between(rng, -0.35, 0.0), fov)
    side, edge = between(rng, -0.9, 0.9), between(rng, 0.8, 1.0) * (1 if rng.random() < 0.5 else -1)
    along = rng.random() < length**2 / (length**2 + width**2)
    across, ahead = (side, edge) if along else (edge, side)
    x, y = width / 2 + across * (width / 2 - 0.3), length / 2 + ahead * (length / 2 - 0.3)
    target_x = width / 2 - 0.25 * across * width + between(rng, -0.12, 0.12) * width
    target_y = length / 2 - 0.25 * ahead * length + between(rng, -0.12, 0.12) * length
    distance = math.hypot(target_x - x, target_y - y)
    pitch = math.atan2(between(rng, 0.35, 1.0) - z, distance)
    return Camera((x, y, z), math.atan2(x - target_x, target_y - y), pitch, fov)


def _furnish(
    rng: np.random.Generator, kind: RoomType, size: Vec3, camera: Camera, wanted: int
) -> tuple[SceneObject, ...]:
    view = camera.rotation().tolist()
    objects: list[SceneObject] = []
    for number in range(wanted):
        name = kind.required[number] if number < len(kind.required) else pick(rng, kind.extras)
        tables = [i for i, other in enumerate(objects) if other.kind == "table"]
        table = pick(rng, tables) if tables else None
        free = table is not None and all(other.support != table for other in objects)
        if table is not None and free and name in _ON_TABLE and rng.random() < 0.5:
            objects.append(_on_table(rng, name, objects[table], table))
            continue
        thing, scale = _object(rng, name, pick(rng, tuple(SIZES)))
        for _ in range(20):
            position, yaw = _spot(rng, thing, size, None if table is None else objects[table])
            if _in_view(position, thing.extent, camera, view) and _fits(
                position, footprint(thing.extent, yaw), size, camera, objects
            ):
                objects.append(_moved(thing, scale, position, yaw))
                break
    return tuple(objects)


def _moved(thing: SceneObject, scale: float, position: Vec3, yaw: float, support: int | None = None) -> SceneObject:
    parts = tuple(part.placed(position, yaw, scale) for part in thing.primitives)
    return replace(thing, position=position, yaw=yaw, primitives=parts, support=support)


def _object(rng: np.random.Generator, kind: str, size: str, factor: float = 1.0) -> tuple[SceneObject, float]:
    """An object yet to be placed, its primitives at their nominal size, and the factor on that size.

    `factor` multiplies the factor that belongs to the size word.
    """
    texture = pick(rng, _TEXTURES[kind])
    colour = pick(rng, _WOODEN if texture == "planked" and kind not in _BASIC else COLOURS)
    shade, accent = texture_colours(rng, colour, between(rng, 0.5, 0.9))
    cell = between(rng, 0.07, 0.13)
    gloss = pick(rng, (0.0, 0.2, 0.5)) if kind in _BASIC else 0.0
    main = Material(shade, accent, texture, cell, bool(rng.random() < 0.4), gloss)
    scale = between(rng, *SIZES[size]) ** (1.0 if kind in _BASIC else 0.4) * factor
    parts = BUILDERS[kind](rng, main)
    x, y, z = 0.0, 0.0, 0.0
    for part in parts:
        a, b, c = part.reach()
        x, y = max(x, abs(part.centre[0]) + a), max(y, abs(part.centre[1]) + b)
        z = max(z, part.centre[2] + c)
    thing = SceneObject(kind, colour, size, texture, (0.0, 0.0, 0.0), 0.0, (scale * x, scale * y, scale * z), parts)
    return thing, scale


def _on_table(rng: np.random.Generator, kind: str, table: SceneObject, index: int) -> SceneObject:
    thing, scale = _object(rng, kind, "small", 0.62 if kind in _BASIC else 0.42)
    reach = 0.5 * min(table.extent[:2])
    x, y, z = table.position
    position = (x + between(rng, -reach, reach), y + between(rng, -reach, reach), z + table.extent[2])
    return _moved(thing, scale, position, between(rng, -math.pi, math.pi), index)


def _spot(rng: np.random.Generator, thing: SceneObject, size: Vec3, table: SceneObject | None) -> tuple[Vec3, float]:
    """A place on the floor that suits the kind: its back to a wall, drawn up to a table, or anywhere."""
    if thing.kind in _AT_WALL:
        wall = int(rng.integers(4))
        x, y = wall_point(wall, float(rng.random()), thing.extent[1] + 0.03, size[0], size[1])
        return (x, y, 0.0), WALL_YAWS[wall]
    if thing.kind == "chair" and table is not None and rng.random() < 0.7:
        quarter = int(rng.integers(4))
        gap = table.extent[quarter % 2 == 0] + thing.extent[1] + 0.07
        yaw, aside = table.yaw + quarter * math.pi / 2, between(rng, -0.25, 0.25)
        c, s = math.cos(yaw), math.sin(yaw)
        x, y, _ = table.position
        return (x + c * aside + s * gap, y + s * aside - c * gap, 0.0), yaw + between(rng, -0.15, 0.15)
    turn = int(rng.integers(4)) * math.pi / 2 if thing.kind == "table" else between(rng, -math.pi, math.pi)
    return (size[0] * float(rng.random()), size[1] * float(rng.random()), 0.0), turn


def _fits(position: Vec3, half: tuple[float, float], size: Vec3, camera: Camera, others: list[SceneObject]) -> bool:
    """Whether that rectangle is inside the room, clear of what stands there and not around the camera."""
    x, y, _ = position
    a, b = half[0] + 0.01, half[1] + 0.01
    if not (a < x < size[0] - a and b < y < size[1] - b):
        return False
    if abs(x - camera.position[0]) < a + 0.35 and abs(y - camera.position[1]) < b + 0.35:
        return False
    for other in others:
        c, d = footprint(other.extent, other.yaw)
        if abs(x - other.position[0]) < a + c and abs(y - other.position[1]) < b + d:
            return False
    return True


def _in_view(position: Vec3, extent: Vec3, camera: Camera, view: list[list[float]]) -> bool:
    """Whether its centre lies well inside a square image and the whole of it would fit.

    `view` is the camera's rotation; plain numbers, as this is asked of every spot that is tried.
    """
    dx, dy = position[0] - camera.position[0], position[1] - camera.position[1]
    dz = position[2] + extent[2] / 2 - camera.position[2]
    x, y, z = (a * dx + b * dy + c * dz for a, b, c in view)
    reach = z * math.tan(camera.fov / 2)  # half the height of the view at that depth
    across = math.hypot(extent[0], extent[1])
    if z < 0.8 + across or abs(x) > 0.85 * reach or abs(y) > 0.8 * reach:
        return False
    return extent[2] < 1.9 * reach and across < 0.9 * reach
