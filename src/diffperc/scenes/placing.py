"""Where things stand: objects of every kind, made and put where they fit and can be seen."""

import math
from dataclasses import dataclass, replace

import numpy as np

from .camera import Camera
from .furniture import BUILDERS, between, pick
from .palette import COLOURS
from .people import HEIGHTS, figure, sample_look, sample_pose
from .rooms import WALL_YAWS, texture_colours, wall_point
from .shapes import Material, Vec3
from .textures import TEXTURES
from .world import SceneObject, footprint

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
    """A camera as plain numbers: that many spots are tried that arrays would be slow."""

    camera: Camera
    axes: tuple[Vec3, Vec3, Vec3]
    """Right, down and forward."""
    tangent: float
    """Of half the vertical field of view."""

    @classmethod
    def of(cls, camera: Camera) -> "View":
        right, down, forward = (tuple(row) for row in camera.rotation().tolist())
        return cls(camera, (right, down, forward), math.tan(camera.fov / 2))

    def shows(self, position: Vec3, extent: Vec3) -> bool:
        """Whether the centre of a thing lies well inside a square image and the whole of it would fit."""
        eye, (right, down, forward) = self.camera.position, self.axes
        dx, dy, dz = position[0] - eye[0], position[1] - eye[1], position[2] + extent[2] / 2 - eye[2]
        z = forward[0] * dx + forward[1] * dy + forward[2] * dz
        reach = z * self.tangent  # half the height of the view at that depth
        if z < 0.8 or abs(right[0] * dx + right[1] * dy) > 0.85 * reach:
            return False
        across = math.hypot(extent[0], extent[1])
        if z < 0.8 + across or abs(down[0] * dx + down[1] * dy + down[2] * dz) > 0.8 * reach:
            return False
        return extent[2] < 1.9 * reach and across < 0.9 * reach


def place(
    rng: np.random.Generator, name: str, size: Vec3, view: View, objects: list[SceneObject], clear: SceneObject | None
) -> SceneObject | None:
    """A thing of that kind in a room of that size, apart from the others; None where no spot was found.

    It does not stand in front of `clear`, if that is given.
    """
    tables = [i for i, other in enumerate(objects) if other.kind == "table"]
    table = pick(rng, tables) if tables else None
    free = table is not None and all(other.support != table for other in objects)
    if table is not None and free and name in ON_TABLE and rng.random() < 0.5:
        return _on_table(rng, name, objects[table], table)
    thing, scale = make(rng, name, pick(rng, tuple(SIZES)))
    for _ in range(20):
        position, yaw = _spot(rng, thing, size, None if table is None else objects[table])
        if not view.shows(position, thing.extent) or not fits(position, thing.extent, yaw, size, view.camera, objects):
            continue
        if clear is None or not _hides(position, thing.extent, clear, view.camera):
            return moved(thing, scale, position, yaw)
    return None


def moved(thing: SceneObject, scale: float, position: Vec3, yaw: float, support: int | None = None) -> SceneObject:
    """A thing just made, scaled and put in its place."""
    parts = tuple(part.placed(position, yaw, scale) for part in thing.primitives)
    c, s = scale * math.cos(yaw), scale * math.sin(yaw)
    joints = tuple(
        (position[0] + c * x - s * y, position[1] + s * x + c * y, position[2] + scale * z) for x, y, z in thing.joints
    )
    return replace(thing, position=position, yaw=yaw, primitives=parts, support=support, joints=joints)


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
    joints: tuple[Vec3, ...] = ()
    if kind == "person":
        scale = 1.0
        parts, joints = figure(sample_pose(rng), between(rng, *HEIGHTS[size]), sample_look(rng, main, colour))
    else:
        scale = between(rng, *SIZES[size]) ** (1.0 if kind in _BASIC else 0.4) * factor
        parts = BUILDERS[kind](rng, main)
    x, y, z = 0.0, 0.0, 0.0
    for part in parts:
        a, b, c = part.reach()
        x, y = max(x, abs(part.centre[0]) + a), max(y, abs(part.centre[1]) + b)
        z = max(z, part.centre[2] + c)
    extent = (scale * x, scale * y, scale * z)
    return SceneObject(kind, colour, size, texture, (0.0, 0.0, 0.0), 0.0, extent, parts, joints=joints), scale


def _on_table(rng: np.random.Generator, kind: str, table: SceneObject, index: int) -> SceneObject:
    thing, scale = make(rng, kind, "small", 0.62 if kind in _BASIC else 0.42)
    reach = 0.5 * min(table.extent[:2])
    x, y, z = table.position
    position = (x + between(rng, -reach, reach), y + between(rng, -reach, reach), z + table.extent[2])
    return moved(thing, scale, position, between(rng, -math.pi, math.pi), index)


def _spot(rng: np.random.Generator, thing: SceneObject, size: Vec3, table: SceneObject | None) -> tuple[Vec3, float]:
    """A place on the floor that suits the kind: its back to a wall, drawn up to a table, or anywhere."""
    if thing.kind in _AT_WALL:
        wall = int(4 * rng.random())
        x, y = wall_point(wall, float(rng.random()), thing.extent[1] + 0.03, size[0], size[1])
        return (x, y, 0.0), WALL_YAWS[wall]
    if thing.kind == "chair" and table is not None and rng.random() < 0.7:
        quarter = int(4 * rng.random())
        gap = table.extent[quarter % 2 == 0] + thing.extent[1] + 0.07
        yaw, aside = table.yaw + quarter * math.pi / 2, between(rng, -0.25, 0.25)
        c, s = math.cos(yaw), math.sin(yaw)
        x, y, _ = table.position
        return (x + c * aside + s * gap, y + s * aside - c * gap, 0.0), yaw + between(rng, -0.15, 0.15)
    x, y, turn = rng.random(3).tolist()
    yaw = int(4 * turn) * math.pi / 2 if thing.kind == "table" else (2 * turn - 1) * math.pi
    return (size[0] * x, size[1] * y, 0.0), yaw


def fits(position: Vec3, extent: Vec3, yaw: float, size: Vec3, camera: Camera, others: list[SceneObject]) -> bool:
    """Whether a thing there is inside the room, clear of what stands there and not around the camera."""
    half = footprint(extent, yaw)
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


def _hides(position: Vec3, extent: Vec3, person: SceneObject, camera: Camera) -> bool:
    """Whether a thing there would cover much of a person."""
    if extent[2] < 0.75 * person.extent[2]:
        return False
    (x, y, _), eye = position, camera.position
    near, far = (x - eye[0], y - eye[1]), (person.position[0] - eye[0], person.position[1] - eye[1])
    distance, beyond = math.hypot(*near), math.hypot(*far)
    if distance > beyond:
        return False
    between_them = math.atan2(near[0] * far[1] - near[1] * far[0], near[0] * far[0] + near[1] * far[1])
    return abs(between_them) < max(extent[:2]) / distance + 0.3 / beyond
