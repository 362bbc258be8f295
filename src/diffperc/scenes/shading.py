"""Shading: the normals of the surfaces that rays have met, and the light that leaves them."""

import numpy as np

from diffperc.scenes.casting import Hits, dot, turned
from diffperc.scenes.geometry import FIRST_PRIMITIVE, Flags, Geometry, Indices
from diffperc.scenes.shapes import SHAPES, Floats, Material, coordinates, gradients
from diffperc.scenes.textures import PATTERNS
from diffperc.scenes.world import Scene

_SKIRTING = 0.09
"""Height of the skirting boards, metres."""
_INWARD = np.array([[1, -1, 0, 0, 0, 0], [0, 0, 1, -1, 0, 0], [0, 0, 0, 0, 1, -1]], np.float32)
"""Normals of the room's surfaces as columns."""
_GRAZING = np.float32(1e-4)
"""Least cosine of the angle between a normal and the direction back to the camera."""


def shade(geometry: Geometry, hits: Hits) -> Floats:
    """Linear radiance (3, n) that reaches the camera."""
    order, counts = _by_surface(geometry, hits)
    hits = hits.at(order)
    points = geometry.eye[:, None] + hits.dirs * hits.depth
    length: Floats = np.sqrt(dot(hits.dirs, hits.dirs))
    view: Floats = hits.dirs / length
    width: Floats = hits.depth * length * np.float32(1 / geometry.scene.camera.focal(geometry.size[0]))
    local, normal = _frames(geometry, points, counts)
    properties = [(*material.colour, material.gloss, material.emission) for material in geometry.materials]
    table = np.array(properties, np.float32).T.repeat(counts, axis=1)
    albedo, gloss, emission = table[:3], table[3], table[4]
    _paint(geometry, counts, albedo, (local, normal, view, width))
    lit, direct = _diffuse(geometry, points, normal, hits.shadow)
    glowing = np.flatnonzero(emission)
    lit[:, glowing] += emission[glowing]
    lit *= albedo
    shiny = np.flatnonzero(gloss * direct)  # walls, floors and most furniture are matt
    mirrored = _mirrored(geometry, points.take(shiny, axis=1), normal.take(shiny, axis=1), view.take(shiny, axis=1))
    mirrored *= gloss[shiny] * direct[shiny]
    lit[:, shiny] += np.array(geometry.scene.light.colour, np.float32)[:, None] * mirrored
    radiance = np.empty_like(lit)
    radiance[:, order] = lit
    return radiance


def camera_normals(geometry: Geometry, hits: Hits) -> Floats:
    """Unit normals (n, 3) in camera coordinates (x right, y down, z forward), all of which face the camera."""
    order, counts = _by_surface(geometry, hits)
    hits = hits.at(order)
    _, normal = _frames(geometry, geometry.eye[:, None] + hits.dirs * hits.depth, counts)
    # A point within rounding of an edge or an outline may get the normal of the hidden side. It is bent until it faces
    # the camera.
    length: Floats = np.sqrt(dot(hits.dirs, hits.dirs))
    view: Floats = hits.dirs / length
    excess = dot(normal, view) + _GRAZING
    hidden = np.flatnonzero(excess > 0)
    bent = normal.take(hidden, axis=1) - excess[hidden] * view.take(hidden, axis=1)
    normal[:, hidden] = bent / np.sqrt(dot(bent, bent))
    normals = np.empty((order.size, 3), np.float32)
    normals[order] = (geometry.scene.camera.rotation().astype(np.float32) @ normal).T
    return normals


def _by_surface(geometry: Geometry, hits: Hits) -> tuple[Indices, Indices]:
    """The order in which every surface is one slice of the hits, and how many hits each surface has."""
    return np.argsort(hits.source, kind="stable"), np.bincount(hits.source, minlength=len(geometry.materials))


def _frames(geometry: Geometry, points: Floats, counts: Indices) -> tuple[Floats, Floats]:
    """Texture frames and unit normals, both (3, n), of points (3, n) that are sorted by surface.

    `counts` holds the number of points on each surface. A primitive is a unit shape in its frame; the frame of the
    room's surfaces is the world.
    """
    start = int(counts[:FIRST_PRIMITIVE].sum())
    local, normal = points.copy(), np.empty_like(points)
    normal[:, :start] = _INWARD.repeat(counts[:FIRST_PRIMITIVE], axis=1)
    counts, placed, upright = counts[FIRST_PRIMITIVE:], local[:, start:], normal[:, start:]
    placed -= geometry.centres.T.repeat(counts, axis=1)
    placed[:] = turned(geometry.to_local, counts, placed)
    for shape, first, last in zip(SHAPES, geometry.bounds, geometry.bounds[1:], strict=False):
        part = slice(int(counts[:first].sum()), int(counts[:last].sum()))
        taper = geometry.tapers[first:last].repeat(counts[first:last])
        upright[:, part] = gradients(shape, taper, placed[:, part])
    upright[:] = turned(geometry.to_local.transpose(0, 2, 1), counts, upright)
    upright /= np.sqrt(dot(upright, upright))
    return local, normal


_ROOM_AXES = ((1, 2), (1, 2), (0, 2), (0, 2), (0, 1), (0, 1))
"""World axes of the texture coordinates on the room's six surfaces."""


def _paint(geometry: Geometry, counts: Indices, albedo: Floats, seen: tuple[Floats, Floats, Floats, Floats]) -> None:
    """Add textures and skirting boards to the plain albedo (3, n) of points sorted by surface.

    `seen` holds the points in their texture frames, their normals and the unit directions of the rays that met them,
    (3, n) each, and the metres (n,) that a pixel spans across these rays.
    """
    end = 0
    for number, count in enumerate(counts.tolist()):
        start, end = end, end + count
        material = geometry.materials[number]
        textured, is_wall = material.texture != "plain", number < 4
        if not count or not (textured or is_wall):
            continue
        local, normal, view, width = (values[..., start:end] for values in seen)
        if number >= FIRST_PRIMITIVE:
            u, v = coordinates(geometry.primitives[number - FIRST_PRIMITIVE], local)
        else:
            first, second = _ROOM_AXES[number]
            u, v = local[first], local[second]
        if textured:
            albedo[:, start:end] = _albedo(material, u, v, width, normal, view)
        if is_wall:
            skirting = np.clip((_SKIRTING - v) / width + np.float32(0.5), 0, 1)
            albedo[:, start:end] += skirting * (np.float32(0.7) - albedo[:, start:end])


def _albedo(material: Material, u: Floats, v: Floats, width: Floats, normal: Floats, view: Floats) -> Floats:
    """Albedo (3, n) of points on a textured surface."""
    # At a slant a pixel covers more of the surface, but in one direction only: the root is a compromise.
    slant: Floats = np.sqrt(np.maximum(np.abs(dot(normal, view)), np.float32(0.02)))
    first, second = (v, u) if material.turned else (u, v)
    blend = PATTERNS[material.texture](first, second, width / slant, material.scale)
    colour = np.array(material.colour, np.float32)[:, None]
    return colour + blend * (np.array(material.accent, np.float32)[:, None] - colour)


def _diffuse(geometry: Geometry, points: Floats, normal: Floats, shadow: Flags) -> tuple[Floats, Floats]:
    """Diffuse light (3, n) that reaches surface points, and the lamp's share in it (n,) without its colour.

    The lamp's light follows Lambert's law; ambient light is dimmed in corners and on surfaces that face down.
    """
    scene = geometry.scene
    towards = geometry.lamp[:, None] - points
    square = dot(towards, towards)
    direct = np.maximum(dot(normal, towards), 0)
    direct *= ~shadow
    direct /= np.sqrt(square) * (1 + np.float32(0.35) * square)
    sky = (np.float32(0.85) + np.float32(0.15) * normal[2]) * _openness(scene, points)
    lit = np.array(scene.light.colour, np.float32)[:, None] * direct
    lit += np.array(scene.light.ambient, np.float32)[:, None] * sky
    return lit, direct


def _mirrored(geometry: Geometry, points: Floats, normal: Floats, view: Floats) -> Floats:
    """Share (n,) of the lamp's light that a mirror-like coat sends towards the camera (Blinn-Phong)."""
    towards: Floats = geometry.lamp[:, None] - points
    towards /= np.sqrt(dot(towards, towards))
    half: Floats = towards - view
    power: Floats = dot(normal, half) ** 2 / dot(half, half)
    for _ in range(4):
        power *= power
    return 2 * power


def _openness(scene: Scene, points: Floats) -> Floats:
    """Share (n,) of ambient light that reaches a point: less near where floor, walls and ceiling meet.

    A point on a wall has distance 0 from that wall, which halves its share: hence the factor of two.
    """
    gap = np.minimum(points, np.array(scene.room.size, np.float32)[:, None] - points)
    near = np.float32(0.06) / (np.maximum(gap, 0, out=gap) + np.float32(0.12))
    x, y, z = np.subtract(1, near, out=near)
    return np.minimum(2 * x * y * z, 1)
