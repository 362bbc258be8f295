"""Casting rays into a scene: what a camera ray meets first, and whether the lamp sees that point."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .shapes import Floats, Primitive, intersect
from .world import Scene

Region = tuple[slice, slice] | tuple[npt.NDArray[np.intp]]
Ints = npt.NDArray[np.int16]

FIRST_PRIMITIVE = 6
"""Surfaces 0-5 are the room's (the order of Room.surfaces); primitive i is surface 6 + i."""
_CORNERS = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])


@dataclass(frozen=True, slots=True)
class Geometry:
    """A scene's primitives, ready for casting: K of them, of which all from `first` on cast shadows."""

    scene: Scene
    size: tuple[int, int]
    """Height and width of the image, pixels."""
    eye: Floats
    """(3,) metres."""
    lamp: Floats
    """(3,) metres."""
    primitives: tuple[Primitive, ...]
    first: int
    axes: Floats
    """(K, 3, 3): local axes as rows."""
    to_local: Floats
    """(K, 3, 3): from world to the local unit frame."""
    local_eye: Floats
    """(K, 3): the eye in each local unit frame."""
    local_lamp: Floats
    """(K, 3)."""
    centres: Floats
    """(K, 3) metres."""
    radii: Floats
    """(K,) bounding spheres, metres."""
    rectangles: npt.NDArray[np.float64]
    """(K, 4) left, top, right and bottom of the image part that may show each, pixels."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Camera rays (directions (3, n)) and what they meet."""

    dirs: Floats
    depth: Floats
    """(n,) metres along the optical axis."""
    source: Ints
    """(n,) surface numbers."""
    shadow: npt.NDArray[np.bool_]
    """(n,) whether an object hides the lamp."""


def prepare(scene: Scene, size: tuple[int, int]) -> Geometry:
    decor = tuple(part for _, part in scene.room.decor)
    primitives = decor + tuple(part for thing in scene.objects for part in thing.primitives)
    axes = np.array([part.axes() for part in primitives]).reshape(-1, 3, 3)
    to_local = axes / np.array([part.half for part in primitives]).reshape(-1, 3, 1)
    spans = axes * np.array([part.bound() for part in primitives]).reshape(-1, 3, 1)
    centres = np.array([part.centre for part in primitives]).reshape(-1, 3)
    return Geometry(
        scene,
        size,
        np.array(scene.camera.position, np.float32),
        np.array(scene.light.position, np.float32),
        primitives,
        len(decor),
        axes.astype(np.float32),
        to_local.astype(np.float32),
        np.einsum("kij,kj->ki", to_local, scene.camera.position - centres).astype(np.float32),
        np.einsum("kij,kj->ki", to_local, scene.light.position - centres).astype(np.float32),
        centres.astype(np.float32),
        np.array([part.radius() for part in primitives], np.float32),
        _rectangles(scene, centres[:, None] + np.einsum("oi,kij->koj", _CORNERS, spans), size),
    )


def _rectangles(scene: Scene, corners: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Left, top, right and bottom (K, 4) in pixels of what lies between corners (K, 8, 3)."""
    count = len(corners)
    pixels, depths = scene.camera.project(corners.reshape(-1, 3), size)
    pixels, depths = pixels.reshape(count, 8, 2), depths.reshape(count, 8)
    rectangles = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    rectangles[depths.min(axis=1) < 0.01] = (0, 0, size[1], size[0])  # partly behind the camera: may be anywhere
    rectangles[depths.max(axis=1) < 0.01] = 0
    return rectangles


def cast(geometry: Geometry, u: Floats, v: Floats) -> Hits:
    """Follow the rays through image points to what they meet, and from there to the lamp.

    The points are the whole grid of pixels, (H, W), or any (n,).
    """
    dirs = geometry.scene.camera.rays(u, v, geometry.size)
    depth, source = _nearest(geometry, dirs, _regions(geometry, u, v))
    dirs, depth, source = dirs.reshape(3, -1), depth.ravel(), source.ravel()
    return Hits(dirs, depth, source, _shadow(geometry, geometry.eye[:, None] + dirs * depth, source))


def joined(first: Hits, second: Hits) -> Hits:
    return Hits(
        np.concatenate([first.dirs, second.dirs], axis=1),
        np.concatenate([first.depth, second.depth]),
        np.concatenate([first.source, second.source]),
        np.concatenate([first.shadow, second.shadow]),
    )


def _regions(geometry: Geometry, u: Floats, v: Floats) -> Iterator[tuple[int, Region]]:
    """Primitives in the picture, each with the image points inside the rectangle around it."""
    for number, (left, top, right, bottom) in enumerate(geometry.rectangles.tolist()):
        if right <= 0 or bottom <= 0 or left >= geometry.size[1] or top >= geometry.size[0]:
            continue
        if u.ndim == 2:
            yield number, (slice(max(int(top), 0), int(bottom) + 1), slice(max(int(left), 0), int(right) + 1))
        else:
            yield number, (((u >= left) & (u <= right) & (v >= top) & (v <= bottom)).nonzero()[0],)


def _nearest(geometry: Geometry, dirs: Floats, regions: Iterator[tuple[int, Region]]) -> tuple[Floats, Ints]:
    """Depth and surface number of the first hit of camera rays."""
    # Seen from inside, of the two planes across an axis the one ahead has the positive parameter.
    size = np.array(geometry.scene.room.size, np.float32)
    inverse = 1 / dirs
    x, y, z = (np.maximum(-o * i, (s - o) * i) for i, s, o in zip(inverse, size, geometry.eye, strict=True))
    best = np.minimum(np.minimum(x, y), z)
    positive = (dirs > 0).view(np.int8)
    source = np.where(best == z, 4 + positive[2], np.where(best == y, 2 + positive[1], positive[0])).astype(np.int16)
    for number, region in regions:
        near = best[region]
        # take() is several times as fast as an index array on the second axis.
        ahead = dirs[:, *region].reshape(3, -1) if isinstance(region[0], slice) else dirs.take(region[0], axis=1)
        local = geometry.to_local[number] @ ahead
        t = intersect(geometry.primitives[number], geometry.local_eye[number], local).reshape(near.shape)
        source[region] = np.where(t < near, np.int16(FIRST_PRIMITIVE + number), source[region])
        best[region] = np.minimum(t, near)
    return best, source


def _shadow(geometry: Geometry, points: Floats, source: Ints) -> npt.NDArray[np.bool_]:
    """Which surface points (3, n) an object hides from the lamp."""
    dirs = points - geometry.lamp[:, None]
    hidden = np.zeros(source.shape, np.bool_)
    for number, rays in _candidates(geometry, geometry.lamp, dirs, geometry.first):
        # A convex solid never shades its own lit side, so leaving it out avoids speckles without an offset.
        rays = rays[source[rays] != FIRST_PRIMITIVE + number]
        local = geometry.to_local[number] @ dirs.take(rays, axis=1)
        hidden[rays] |= intersect(geometry.primitives[number], geometry.local_lamp[number], local) < np.float32(0.998)
    return hidden


def _candidates(
    geometry: Geometry, origin: Floats, dirs: Floats, first: int
) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Primitives from `first` on, each with the rays (directions (3, n)) that may meet its bounding sphere."""
    offset = geometry.centres[first:] - origin
    distance = np.sqrt((offset**2).sum(1))
    sine = geometry.radii[first:] / distance
    least = np.where(sine < 1, np.sqrt(np.maximum(1 - sine**2, 0)) - np.float32(1e-4), np.float32(-2))
    unit = dirs / np.sqrt(dot(dirs, dirs))
    for number, (towards, cosine) in enumerate(zip(offset / distance[:, None], least, strict=True), first):
        rays = (towards @ unit > cosine).nonzero()[0]
        if rays.size:
            yield number, rays


def dot(first: Floats, second: Floats) -> Floats:
    """Scalar products (n,) of vectors (3, n)."""
    product: Floats = first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
    return product
