"""What a scene is made of."""

import math
from dataclasses import dataclass

from diffperc.scenes.camera import Camera
from diffperc.scenes.furniture import Primitives
from diffperc.scenes.shapes import Material, Primitive, Vec3

MAX_DEPTH = 10.0
"""No depth in a sampled scene exceeds this, metres: it is longer than the diagonal of any room."""


@dataclass(frozen=True, slots=True)
class Light:
    """A point light and the ambient light around it; radiances are linear RGB."""

    position: Vec3
    colour: Vec3
    ambient: Vec3
    exposure: float
    """Mean brightness for which the image is exposed, linear, in (0, 1)."""


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
    """Doors, windows, rugs, ...: each primitive with the room class (floor, wall, ceiling) that it counts as."""


@dataclass(frozen=True, slots=True)
class SceneObject:
    """A thing in the room, with the attributes that an expression may refer to.

    The colour and the texture of a person are those of the shirt.
    """

    kind: str
    colour: str
    size: str
    texture: str
    position: Vec3
    """Centre of its base, metres."""
    yaw: float
    extent: Vec3
    """Half width, half depth and height in its own frame, metres."""
    primitives: Primitives
    support: int | None = None
    """Index of the object that it stands on; None for the floor."""
    joints: tuple[Vec3, ...] = ()
    """COCO's 17 body keypoints of a person in the world, metres."""

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
