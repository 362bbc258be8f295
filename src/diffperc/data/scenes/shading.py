"""Shading: the light that leaves the surfaces which rays have met."""

import numpy as np
import numpy.typing as npt

from .casting import FIRST_PRIMITIVE, Geometry, Hits, dot
from .shapes import Floats, Material, coordinates, normals
from .textures import PATTERNS
from .world import Scene

_SKIRTING = 0.09
"""Height of the skirting boards, metres."""


def shade(geometry: Geometry, hits: Hits) -> Floats:
    """Linear radiance (3, n) that reaches the camera."""
    order = np.argsort(hits.source, kind="stable")  # so that every surface is one slice
    dirs, depth, source = hits.dirs.take(order, axis=1), hits.depth[order], hits.source[order]
    points = geometry.eye[:, None] + dirs * depth
    length: Floats = np.sqrt(dot(dirs, dirs))
    width: Floats = depth * length * np.float32(1 / geometry.scene.camera.focal(geometry.size[0]))
    view: Floats = dirs / length
    normal, albedo = np.empty_like(points), np.empty_like(points)
    gloss, emission = np.empty_like(depth), np.empty_like(depth)
    starts = np.flatnonzero(np.diff(source, prepend=np.int16(-1)))
    for start, end in zip(starts, [*starts[1:], source.size], strict=True):
        part = slice(start, end)
        material, normal[:, part], albedo[:, part] = _surface(
            geometry, int(source[start]), points[:, part], view[:, part], width[part]
        )
        gloss[part], emission[part] = material.gloss, material.emission
    lit, direct = _diffuse(geometry, points, normal, hits.shadow[order])
    glowing = np.flatnonzero(emission)
    lit[:, glowing] += emission[glowing]
    lit *= albedo
    shiny = np.flatnonzero(gloss * direct)  # walls, floors and most furniture are matt
    mirrored = _mirrored(geometry, points.take(shiny, axis=1), normal.take(shiny, axis=1), view.take(shiny, axis=1))
    lit[:, shiny] += np.array(geometry.scene.light.colour, np.float32)[:, None] * (
        mirrored * gloss[shiny] * direct[shiny]
    )
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return lit.take(place, axis=1)


def _surface(
    geometry: Geometry, number: int, points: Floats, view: Floats, width: Floats
) -> tuple[Material, Floats, Floats]:
    """Material, normals and albedo, (3, n) or (3, 1), of points (3, n) on one surface.

    `view` is the unit direction of the ray to each point and `width` (n,) the metres that a pixel spans across it.
    """
    if number >= FIRST_PRIMITIVE:
        number -= FIRST_PRIMITIVE
        primitive = geometry.primitives[number]
        local = geometry.to_local[number] @ (points - geometry.centres[number][:, None])
        normal = normals(primitive, geometry.axes[number], local)
        if primitive.material.texture == "plain":
            return primitive.material, normal, np.array(primitive.material.colour, np.float32)[:, None]
        u, v = coordinates(primitive, local)
        return primitive.material, normal, _albedo(primitive.material, u, v, width, normal, view)
    axis = number // 2
    normal = np.zeros((3, 1), np.float32)
    normal[axis] = 1 - 2 * (number % 2)
    material = geometry.scene.room.surfaces[number]
    u, v = points[1 if axis == 0 else 0], points[1 if axis == 2 else 2]
    albedo = _albedo(material, u, v, width, normal, view)
    if axis < 2:
        skirting = np.clip((_SKIRTING - v) / width + np.float32(0.5), 0, 1)
        albedo = albedo + skirting * (np.float32(0.7) - albedo)
    return material, normal, albedo


def _albedo(material: Material, u: Floats, v: Floats, width: Floats, normal: Floats, view: Floats) -> Floats:
    """Albedo of surface points: (3, n), or (3, 1) where it is the same everywhere."""
    colour = np.array(material.colour, np.float32)[:, None]
    if material.texture == "plain":
        return colour
    # A pixel is stretched one way only where it meets the surface at a slant: the root is a compromise.
    slant: Floats = np.sqrt(np.maximum(np.abs(dot(normal, view)), np.float32(0.02)))
    first, second = (v, u) if material.turned else (u, v)
    blend = PATTERNS[material.texture](first, second, width / slant, material.scale)
    return colour + blend * (np.array(material.accent, np.float32)[:, None] - colour)


def _diffuse(
    geometry: Geometry, points: Floats, normal: Floats, shadow: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Diffuse light (3, n) that reaches surface points, and the lamp's part in it (n,) without its colour.

    Lambert for the lamp; ambient light is dimmed in corners and on surfaces that face down.
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

    A point on a wall is at distance 0 of that wall, which halves it: hence the factor of two.
    """
    gap = np.minimum(points, np.array(scene.room.size, np.float32)[:, None] - points)
    near = np.float32(0.06) / (np.maximum(gap, 0, out=gap) + np.float32(0.12))
    x, y, z = np.subtract(1, near, out=near)
    return np.minimum(2 * x * y * z, 1)
