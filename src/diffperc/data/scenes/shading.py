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
    lit = _light(geometry, points, normal, view, hits.shadow[order], gloss)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return (albedo * (lit[0] + emission) + lit[1]).take(place, axis=1)


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


def _light(
    geometry: Geometry, points: Floats, normal: Floats, view: Floats, shadow: npt.NDArray[np.bool_], gloss: Floats
) -> tuple[Floats, Floats]:
    """Diffuse light that reaches surface points and light mirrored off them, both (3, n).

    Lambert and Blinn-Phong for the lamp; ambient light is dimmed in corners and on surfaces that face down.
    """
    scene = geometry.scene
    lamp = np.array(scene.light.colour, np.float32)[:, None]
    ambient = np.array(scene.light.ambient, np.float32)[:, None]
    towards = geometry.lamp[:, None] - points
    square = dot(towards, towards)
    towards /= np.sqrt(square)
    direct = np.maximum(dot(normal, towards), 0) * ~shadow / (1 + np.float32(0.35) * square)
    shiny = np.flatnonzero(gloss)  # walls, floors and most furniture are matt
    half = towards.take(shiny, axis=1) - view.take(shiny, axis=1)
    power = dot(normal.take(shiny, axis=1), half) ** 2 / dot(half, half)
    for _ in range(4):
        power *= power
    mirrored = np.zeros_like(direct)
    mirrored[shiny] = 2 * gloss[shiny] * power * direct[shiny]
    sky = (np.float32(0.85) + np.float32(0.15) * normal[2]) * _openness(scene, points)
    return lamp * direct + ambient * sky, lamp * mirrored


def _openness(scene: Scene, points: Floats) -> Floats:
    """Share (n,) of ambient light that reaches a point: less near where floor, walls and ceiling meet.

    A point on a wall is at distance 0 of that wall, which halves it: hence the factor of two.
    """
    far = np.array(scene.room.size, np.float32)[:, None]
    gap = np.maximum(np.minimum(points, far - points), 0)
    near = np.float32(0.5) + np.float32(0.5) * gap / (gap + np.float32(0.12))
    return np.minimum(2 * near[0] * near[1] * near[2], 1)
