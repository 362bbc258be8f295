"""Casting rays into a scene: what a camera ray meets first, and whether the lamp lights that point."""

from dataclasses import dataclass

import numpy as np

from diffperc.scenes.geometry import FIRST_PRIMITIVE, Flags, Geometry, Indices, Ints
from diffperc.scenes.shapes import SHAPES, Floats, intersect

_SUBPIXEL = (0.36, 0.2)
"""Offset (u, v) in pixels of a pixel's second extra ray from its centre; the first one is on the other side."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Camera rays (directions (3, n)) and what they meet."""

    dirs: Floats
    depth: Floats
    """(n,) metres along the optical axis."""
    source: Ints
    """(n,) surface numbers."""
    shadow: Flags
    """(n,) whether an object hides the lamp."""

    def at(self, rays: Indices) -> "Hits":
        """The hits of some of the rays."""
        return Hits(self.dirs.take(rays, axis=1), self.depth[rays], self.source[rays], self.shadow[rays])


def cast(geometry: Geometry) -> Hits:
    """Follow the ray through every pixel's centre to what it meets, and from there to the lamp."""
    v, u = np.indices(geometry.size, np.float32) + np.float32(0.5)
    dirs = geometry.scene.camera.rays(u, v, geometry.size)
    depth, source = _room(geometry, dirs)
    dirs, depth, source = dirs.reshape(3, -1), depth.ravel(), source.ravel()
    counts, pixels = _covered(geometry)
    t = _meet(geometry, geometry.local_eye, counts, dirs.take(pixels, axis=1))
    np.minimum.at(depth, pixels, t)
    first = np.flatnonzero(t == depth[pixels])[::-1]  # of two equally near surfaces, the lower number stays
    source[pixels[first]] = np.arange(FIRST_PRIMITIVE, FIRST_PRIMITIVE + counts.size).repeat(counts)[first]
    return Hits(dirs, depth, source, _shadow(geometry, geometry.eye[:, None] + dirs * depth, source))


def _covered(geometry: Geometry) -> tuple[Indices, Indices]:
    """How many pixels each primitive's rectangle has (K,), and the indices of these pixels, primitive by primitive."""
    left, right, top, bottom = geometry.rectangles.T
    wide = np.maximum(right - left, 0)
    high = np.where(wide > 0, np.maximum(bottom - top, 0), 0)
    starts, widths = (top * geometry.size[1] + left).repeat(high), wide.repeat(high)
    within = np.arange(high.sum()) - (high.cumsum() - high).repeat(high)  # rows from the top of the rectangle
    starts += within * geometry.size[1] - (widths.cumsum() - widths)
    return wide * high, np.arange(widths.sum()) + starts.repeat(widths)


def refine(geometry: Geometry, centre: Hits, pixels: Indices) -> Hits:
    """Follow two more rays through each of the given pixels (m,): n = 2 m, all first rays before all second rays.

    They are tried only against the surfaces seen in the pixel itself and in the pixels beside it. Their shadow is copied
    from where the same surface is seen there; it is traced where these places disagree.
    """
    height, width = geometry.size
    row, column = np.divmod(pixels, width)
    beside = np.concatenate([np.maximum(column - 1, 0), np.minimum(column + 1, width - 1)])
    above = np.concatenate([np.maximum(row - 1, 0), np.minimum(row + 1, height - 1)]) * width
    rows, columns = np.tile(row * width, 2), np.tile(column, 2)
    around = np.stack([rows + columns, rows + beside, above + columns, above + beside])
    near_source, near_shadow = centre.source[around], centre.shadow[around]
    right, below = _SUBPIXEL
    u = np.concatenate([column + (0.5 - right), column + (0.5 + right)]).astype(np.float32)
    v = np.concatenate([row + (0.5 - below), row + (0.5 + below)]).astype(np.float32)
    dirs = geometry.scene.camera.rays(u, v, geometry.size)
    depth, source = _room(geometry, dirs)
    fresh = near_source >= FIRST_PRIMITIVE
    fresh[1:] &= near_source[1:] != near_source[0]
    fresh[2:] &= near_source[2:] != near_source[1:3]
    rays, tried = fresh.nonzero()[1], near_source[fresh] - np.int16(FIRST_PRIMITIVE)
    order = np.argsort(tried, kind="stable")
    counts, met = np.bincount(tried, minlength=len(geometry.primitives)), np.empty(tried.size, np.float32)
    met[order] = _meet(geometry, geometry.local_eye, counts, dirs.take(rays[order], axis=1))
    t = np.full(fresh.shape, np.inf, np.float32)
    t[fresh] = met
    for distance, number in zip(t, near_source, strict=True):
        np.copyto(source, number, where=distance < depth)
        np.minimum(depth, distance, out=depth)
    same = near_source == source
    shadow = (same & near_shadow).any(axis=0)
    unsure = np.flatnonzero(shadow == (same & ~near_shadow).any(axis=0))
    points = geometry.eye[:, None] + dirs.take(unsure, axis=1) * depth[unsure]
    shadow[unsure] = _shadow(geometry, points, source[unsure])
    return Hits(dirs, depth, source, shadow)


def joined(first: Hits, second: Hits) -> Hits:
    return Hits(
        np.concatenate([first.dirs, second.dirs], axis=1),
        np.concatenate([first.depth, second.depth]),
        np.concatenate([first.source, second.source]),
        np.concatenate([first.shadow, second.shadow]),
    )


def _room(geometry: Geometry, dirs: Floats) -> tuple[Floats, Ints]:
    """Depth and surface number where camera rays (3, ...) meet the room."""
    # From inside, a ray meets that one of the two planes across an axis which it heads for.
    eye = geometry.eye.reshape(3, *[1] * (dirs.ndim - 1))
    size = np.array(geometry.scene.room.size, np.float32).reshape(eye.shape)
    positive = dirs > 0
    meets = np.where(positive, size - eye, eye)
    meets /= dirs
    x, y, z = np.abs(meets, out=meets)
    best = np.minimum(x, y)
    side = np.where(best == y, 2 + positive[1].view(np.int8), positive[0].view(np.int8))
    side = np.where(z < best, 4 + positive[2].view(np.int8), side)
    return np.minimum(best, z, out=best), side.astype(np.int16)


def _meet(geometry: Geometry, local_origins: Floats, counts: Indices, dirs: Floats) -> Floats:
    """Ray parameters (n,) at which rays (3, n) meet a primitive, inf where they miss it.

    The first counts[0] rays are tried against the first primitive, the next counts[1] against the second, and so on.
    All start from one point; `local_origins` (K, 3) holds its coordinates in each primitive's frame.
    """
    local, origins = turned(geometry.to_local, counts, dirs), local_origins.T.repeat(counts, axis=1)
    t = np.empty(local.shape[1], np.float32)
    for shape, start, end in zip(SHAPES, geometry.bounds, geometry.bounds[1:], strict=False):
        low, high = counts[:start].sum(), counts[:end].sum()
        if low < high:
            taper = geometry.tapers[start:end].repeat(counts[start:end])
            t[low:high] = intersect(shape, taper, origins[:, low:high], local[:, low:high])
    return t


def turned(matrices: Floats, counts: Indices, vectors: Floats) -> Floats:
    """Vectors (3, n) times matrices (K, 3, 3): the first counts[0] vectors times the first matrix, and so on."""
    product = np.empty_like(vectors)
    end = 0
    for number, count in enumerate(counts.tolist()):
        start, end = end, end + count
        if count:
            np.matmul(matrices[number], vectors[:, start:end], out=product[:, start:end])
    return product


def _shadow(geometry: Geometry, points: Floats, source: Ints) -> Flags:
    """Whether an object hides each surface point (3, n) from the lamp (n,)."""
    hidden = np.zeros(source.shape, np.bool_)
    casters = np.flatnonzero(geometry.owners)
    if not casters.size:
        return hidden
    # If the lamp is above all objects, nothing is in its way to points above them either.
    limit = geometry.highest if geometry.highest < geometry.lamp[2] else np.inf
    low = np.flatnonzero(points[2] < np.float32(limit))
    dirs = points.take(low, axis=1) - geometry.lamp[:, None]
    offset = geometry.centres[casters] - geometry.lamp
    distance = np.sqrt((offset**2).sum(1))
    sine = geometry.radii[casters] / distance
    least = np.where(sine < 1, np.sqrt(np.maximum(1 - sine**2, 0)) - np.float32(1e-4), np.float32(-2))
    unit = dirs / np.sqrt(dot(dirs, dirs))
    near = (offset / distance[:, None]) @ unit > least[:, None]  # passes a primitive's bounding sphere
    # A convex solid never shades its own lit side, so leaving it out avoids speckles without an offset.
    slots = np.full(FIRST_PRIMITIVE + len(geometry.primitives), -1)
    slots[FIRST_PRIMITIVE + casters] = np.arange(casters.size)
    own = slots[source[low]]
    placed = np.flatnonzero(own >= 0)
    near[own[placed], placed] = False
    counts = np.zeros(len(geometry.primitives), np.intp)
    counts[casters] = np.count_nonzero(near, axis=1)
    rays = np.concatenate([np.flatnonzero(row) for row in near])
    t = _meet(geometry, geometry.local_lamp, counts, dirs.take(rays, axis=1))
    hidden[low[rays[t < np.float32(0.998)]]] = True
    return hidden


def dot(first: Floats, second: Floats) -> Floats:
    """Scalar products (n,) of vectors (3, n)."""
    product: Floats = first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
    return product
