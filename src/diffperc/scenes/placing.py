"""Where things stand: objects of every kind, made and put where they fit and can be seen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from diffperc.scenes.camera import Camera
from diffperc.scenes.furniture import BUILDERS, Primitives, between, pick
from diffperc.scenes.palette import COLOURS
from diffperc.scenes.people import HEIGHTS, figure, sample_appearance
from diffperc.scenes.poses import sample_pose
from diffperc.scenes.rooms import WALL_YAWS, texture_colours, wall_point
from diffperc.scenes.shapes import Material, Vec3
from diffperc.scenes.textures import TEXTURES
from diffperc.scenes.world import SceneObject, footprint

SIZES: dict[str, tuple[float, float]] = {"small": (0.62, 0.75), "medium": (0.92, 1.08), "large": (1.3, 1.55)}
"""Range of the factor on a kind's nominal size; furniture uses a power of it (0.4)."""
ON_TABLE = ("box", "sphere", "cylinder", "cone", "plant", "lamp")
"""Kinds that may stand on a table."""

_BASIC = ("box", "sphere", "cylinder", "cone")
_AT_WALL = ("bed", "sofa", "shelf")
_CLOTH = ("plain", "plain", "striped", "checkered", "dotted", "zigzag")
_TEXTURES = {
    **dict.fromkeys(_BASIC, ("plain", *TEXTURES)),
    **dict.fromkeys(("bed", "sofa", "chair", "person"), _CLOTH),
    **dict.fromkeys(("table", "shelf"), ("plain", "planked", "planked", "marbled")),
    **dict.fromkeys(("lamp", "plant"), ("plain", "plain", "striped", "dotted", "zigzag")),
}
_WOODEN = ("brown", "brown", "white", "black")


@dataclass(frozen=True, slots=True)
class View:
    """A camera as plain numbers, because arrays would be slow for the many spots that are tried."""

    camera: Camera
    axes: tuple[Vec3, Vec3, Vec3]
    """Right, down and forward."""
    tangent: float
    """Tangent of half the vertical field of view."""

    @classmethod
    def of(cls, camera: Camera) -> "View":
        right, down, forward = (tuple(row) for row in camera.rotation().tolist())
        return cls(camera, (right, down, forward), math.tan(camera.fov / 2))

    def shows(self, position: Vec3, extent: Vec3) -> bool:
        """Whether the centre of a thing lies well inside a square image and the whole of it would fit."""
        eye, (right, down, forward) = self.camera.position, self.axes
        dx, dy, dz = position[0] - eye[0], position[1] - eye[1], position[2] + extent[2] / 2 - eye[2]
        depth = forward[0] * dx + forward[1] * dy + forward[2] * dz
        reach = depth * self.tangent  # half the height of the view at that depth
        across = math.hypot(extent[0], extent[1])
        if depth < 0.8 + across or across >= 0.9 * reach or extent[2] >= 1.9 * reach:
            return False
        x = right[0] * dx + right[1] * dy
        y = down[0] * dx + down[1] * dy + down[2] * dz
        return abs(x) <= 0.85 * reach and abs(y) <= 0.8 * reach


def place(
    rng: np.random.Generator,
    name: str,
    size: Vec3,
    view: View,
    objects: Sequence[SceneObject],
    clear: Sequence[SceneObject] = (),
) -> SceneObject | None:
    """A thing of that kind in a room of that size, apart from the others; None where no spot was found.

    It does not stand in front of the objects in `clear`.
    """
    table = _some_table(rng, objects)
    if table is not None and name in ON_TABLE and _is_free(table, objects) and rng.random() < 0.5:
        return _on_table(rng, name, objects[table], table)
    thing, scale = make(rng, name, pick(rng, tuple(SIZES)))
    extent = thing.extent
    for _ in range(20):
        position, yaw = _spot(rng, thing, size, objects, table)
        if not view.shows(position, extent) or not fits(position, extent, yaw, size, view.camera, objects):
            continue
        hidden = [other for other in clear if _hides(position, extent, other, view.camera)]
        if not hidden:
            return moved(thing, scale, position, yaw)
    return None


def _some_table(rng: np.random.Generator, objects: Sequence[SceneObject]) -> int | None:
    """Index of a random table among the objects; None if there is none."""
    tables = []
    for index, other in enumerate(objects):
        if other.kind == "table":
            tables.append(index)
    if not tables:
        return None
    return pick(rng, tables)


def _is_free(table: int, objects: Sequence[SceneObject]) -> bool:
    supports = {other.support for other in objects}
    return table not in supports


def moved(thing: SceneObject, scale: float, position: Vec3, yaw: float, support: int | None = None) -> SceneObject:
    """A thing just made, scaled and put in its place."""
    parts = tuple(part.placed(position, yaw, scale) for part in thing.primitives)
    c, s = scale * math.cos(yaw), scale * math.sin(yaw)
    joints = []
    for x, y, z in thing.joints:
        joints.append((position[0] + c * x - s * y, position[1] + s * x + c * y, position[2] + scale * z))
    return replace(thing, position=position, yaw=yaw, primitives=parts, support=support, joints=tuple(joints))


def make(rng: np.random.Generator, kind: str, size: str, factor: float = 1.0) -> tuple[SceneObject, float]:
    """An object yet to be placed, its primitives at their nominal size, and the factor on that size.

    `factor` multiplies the factor that belongs to the size word.
    """
    texture = pick(rng, _TEXTURES[kind])
    colour = pick(rng, _WOODEN if texture == "planked" and kind not in _BASIC else COLOURS)
    shade, accent = texture_colours(rng, colour, between(rng, 0.5, 0.9))
    cell = between(rng, 0.07, 0.13)
    gloss = pick(rng, (0.0, 0.2, 0.5)) if kind in _BASIC else 0.0
    main = Material(shade, accent, texture, cell, bool(rng.random() < 0.4), gloss)
    if kind == "person":
        scale = 1.0
        pose, height = sample_pose(rng), between(rng, *HEIGHTS[size])
        parts, joints = figure(pose, height, sample_appearance(rng, main, colour))
    else:
        scale = between(rng, *SIZES[size]) ** (1.0 if kind in _BASIC else 0.4) * factor
        parts, joints = BUILDERS[kind](rng, main), ()
    extent = _extent(parts, scale)
    return SceneObject(kind, colour, size, texture, (0.0, 0.0, 0.0), 0.0, extent, parts, joints=joints), scale


def _extent(parts: Primitives, scale: float) -> Vec3:
    """Half width, half depth and height in metres of primitives around the origin, after scaling."""
    centres = np.array([part.centre for part in parts])
    reaches = np.array([part.reach() for part in parts])
    x, y, _ = (scale * (np.abs(centres) + reaches).max(axis=0)).tolist()
    z = scale * float((centres + reaches)[:, 2].max())
    return (x, y, z)


def _on_table(rng: np.random.Generator, kind: str, table: SceneObject, index: int) -> SceneObject:
    thing, scale = make(rng, kind, "small", 0.62 if kind in _BASIC else 0.42)
    reach = 0.5 * min(table.extent[:2])
    x, y, z = table.position
    position = (x + between(rng, -reach, reach), y + between(rng, -reach, reach), z + table.extent[2])
    return moved(thing, scale, position, between(rng, -math.pi, math.pi), index)


def _spot(
    rng: np.random.Generator, thing: SceneObject, size: Vec3, objects: Sequence[SceneObject], table: int | None
) -> tuple[Vec3, float]:
    """A place on the floor that suits the kind: its back to a wall, drawn up to objects[table], or anywhere."""
    if thing.kind in _AT_WALL:
        wall = int(4 * rng.random())
        x, y = wall_point(wall, float(rng.random()), thing.extent[1] + 0.03, size[0], size[1])
        return (x, y, 0.0), WALL_YAWS[wall]
    if thing.kind == "chair" and table is not None and rng.random() < 0.7:
        return _spot_at_table(rng, thing, objects[table])
    x, y, turn = rng.random(3).tolist()
    yaw = int(4 * turn) * math.pi / 2 if thing.kind == "table" else (2 * turn - 1) * math.pi
    return (size[0] * x, size[1] * y, 0.0), yaw


def _spot_at_table(rng: np.random.Generator, chair: SceneObject, table: SceneObject) -> tuple[Vec3, float]:
    """A place for a chair at one of the four sides of a table."""
    quarter = int(4 * rng.random())
    along = (quarter + 1) % 2  # the table's axis that points at the chair
    gap = table.extent[along] + chair.extent[1] + 0.07
    yaw, aside = table.yaw + quarter * math.pi / 2, between(rng, -0.25, 0.25)
    c, s = math.cos(yaw), math.sin(yaw)
    x, y, _ = table.position
    return (x + c * aside + s * gap, y + s * aside - c * gap, 0.0), yaw + between(rng, -0.15, 0.15)


def fits(position: Vec3, extent: Vec3, yaw: float, size: Vec3, camera: Camera, others: Sequence[SceneObject]) -> bool:
    """Whether a thing there is inside the room, clear of what stands there and not around the camera."""
    half = footprint(extent, yaw)
    a, b = padded = (half[0] + 0.01, half[1] + 0.01)
    inside = a < position[0] < size[0] - a and b < position[1] < size[1] - b
    if not inside or _overlap(position, padded, camera.position, (0.35, 0.35)):
        return False
    return not any(_overlap(position, padded, other.position, footprint(other.extent, other.yaw)) for other in others)


def _overlap(first: Vec3, half: tuple[float, float], second: Vec3, other_half: tuple[float, float]) -> bool:
    """Whether two rectangles around points on the floor overlap, given their half sizes."""
    apart_x, apart_y = abs(first[0] - second[0]), abs(first[1] - second[1])
    return apart_x < half[0] + other_half[0] and apart_y < half[1] + other_half[1]


def _hides(position: Vec3, extent: Vec3, person: SceneObject, camera: Camera) -> bool:
    """Whether a thing there would cover much of a person."""
    (x, y, _), (person_x, person_y, _), (eye_x, eye_y, _) = position, person.position, camera.position
    near, far = (x - eye_x, y - eye_y), (person_x - eye_x, person_y - eye_y)
    distance, beyond = math.hypot(*near), math.hypot(*far)
    if distance > beyond or extent[2] < 0.75 * person.extent[2]:
        return False
    angle = math.atan2(near[0] * far[1] - near[1] * far[0], near[0] * far[0] + near[1] * far[1])
    return abs(angle) < max(extent[:2]) / distance + 0.3 / beyond
