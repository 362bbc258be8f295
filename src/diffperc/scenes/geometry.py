"""A scene's primitives as arrays, ready for casting rays at them."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from diffperc.scenes.shapes import SHAPES, Floats, Material, Primitive
from diffperc.scenes.world import Scene

Ints = npt.NDArray[np.int16]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

FIRST_PRIMITIVE = 6
"""Surfaces 0-5 are the room's (the order of Room.surfaces); primitive i is surface 6 + i."""
_NEAR = 0.01
"""Depth in metres of the nearest surface that is looked for."""
_CORNERS = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
_EDGES = np.array([(i, i + bit) for bit in (1, 2, 4) for i in range(8) if not i & bit])
"""Corners at both ends of the edges of a box."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """A scene's K primitives, ready for casting, in the order of their shapes."""

    scene: Scene
    size: tuple[int, int]
    """Height and width of the image, pixels."""
    eye: Floats
    """(3,) metres."""
    lamp: Floats
    """(3,) metres."""
    primitives: tuple[Primitive, ...]
    materials: tuple[Material, ...]
    """Material of every surface: the room's six, then the primitives'."""
    kinds: tuple[str, ...]
    """(K,) what each primitive belongs to: a kind of object, or for decoration the class that it counts as."""
    owners: Ints
    """(K,) number of the object that each belongs to, from 1 on; 0 for decoration, which casts no shadow."""
    bounds: tuple[int, ...]
    """Where each of SHAPES begins in that order, and K."""
    tapers: Floats
    """(K,)."""
    to_local: Floats
    """(K, 3, 3): from the world to each local unit frame."""
    local_eye: Floats
    """(K, 3): the eye in each local unit frame."""
    local_lamp: Floats
    """(K, 3)."""
    centres: Floats
    """(K, 3) metres."""
    radii: Floats
    """(K,) bounding spheres, metres."""
    highest: float
    """Height in metres above which nothing casts a shadow."""
    rectangles: npt.NDArray[np.int64]
    """(K, 4) first and end column, first and end row (ends exclusive) of the part of the image that may show each."""


def prepare(scene: Scene, size: tuple[int, int]) -> Geometry:
    """The geometry of a scene for an image with that height and width in pixels."""
    parts = [(part, name, 0) for name, part in scene.room.decor]
    for owner, thing in enumerate(scene.objects, 1):
        parts += [(part, thing.kind, owner) for part in thing.primitives]
    parts.sort(key=lambda entry: SHAPES.index(entry[0].shape))
    primitives = tuple(part for part, _, _ in parts)
    axes = _stacked(Primitive.axes, primitives, 3, 3)
    to_local = axes / _stacked(attrgetter("half"), primitives, 3, 1)
    spans = axes * _stacked(Primitive.bound, primitives, 3, 1)
    centres = _stacked(attrgetter("centre"), primitives, 3)
    numbers = [SHAPES.index(part.shape) for part in primitives]
    tops = [thing.position[2] + thing.extent[2] for thing in scene.objects]
    eye, lamp = np.array(scene.camera.position), np.array(scene.light.position)
    return Geometry(
        scene=scene,
        size=size,
        eye=eye.astype(np.float32),
        lamp=lamp.astype(np.float32),
        primitives=primitives,
        materials=(*scene.room.surfaces, *map(attrgetter("material"), primitives)),
        kinds=tuple(kind for _, kind, _ in parts),
        owners=np.array([owner for _, _, owner in parts], np.int16),
        bounds=tuple(np.searchsorted(numbers, range(len(SHAPES) + 1)).tolist()),
        tapers=_stacked(attrgetter("taper"), primitives).astype(np.float32),
        to_local=to_local.astype(np.float32),
        local_eye=(to_local @ (eye - centres)[:, :, None])[:, :, 0].astype(np.float32),
        local_lamp=(to_local @ (lamp - centres)[:, :, None])[:, :, 0].astype(np.float32),
        centres=centres.astype(np.float32),
        radii=_stacked(Primitive.radius, primitives).astype(np.float32),
        highest=max(tops, default=0.0) + 1e-3,
        rectangles=_rectangles(scene, centres[:, None] + _CORNERS @ spans, size),
    )


def _stacked(
    value: Callable[[Primitive], Any], primitives: tuple[Primitive, ...], *shape: int
) -> npt.NDArray[np.float64]:
    """A value of each primitive, as an array (K, *shape)."""
    return np.array([*map(value, primitives)], np.float64).reshape(-1, *shape)


def _rectangles(scene: Scene, corners: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Columns and rows (K, 4) of the pixels that may show the boxes with corners (K, 8, 3)."""
    height, width = size
    points = (corners - scene.camera.position) @ scene.camera.rotation().T
    # Of a box partly behind the camera only what is in front counts: its edges are cut where they pass the camera.
    start, end = points[:, _EDGES[:, 0]], points[:, _EDGES[:, 1]]
    share = (_NEAR - start[:, :, 2:]) / (end - start)[:, :, 2:]
    cuts = np.where((share > 0) & (share < 1), start + share * (end - start), -1.0)
    points = np.concatenate([points, cuts], axis=1)
    seen = points[:, :, 2:] > 0.99 * _NEAR
    pixels = points[:, :, :2] / points[:, :, 2:] * scene.camera.focal(height) + (width / 2, height / 2)
    low = np.where(seen, pixels, np.inf).min(axis=1)
    high = np.where(seen, pixels + 1, -np.inf).max(axis=1)
    rectangles = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)
    return np.clip(rectangles, 0, (width, width, height, height)).astype(np.int64)
