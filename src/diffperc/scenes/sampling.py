"""Sampling of a scene from a seed and an index."""

import math
from dataclasses import replace

import numpy as np

from diffperc.scenes.camera import Camera
from diffperc.scenes.furniture import between, pick
from diffperc.scenes.palette import COLOURS, PALETTE, mix
from diffperc.scenes.placing import SIZES, View, fits, make, moved, place
from diffperc.scenes.rooms import ROOM_TYPES, ROOMS, RoomType, decorate, texture_colours
from diffperc.scenes.shapes import Material, Primitive, Vec3
from diffperc.scenes.world import Light, Room, Scene, SceneObject

_MOST = 8
"""Most objects in a scene."""


def sample_scene(seed: int, index: int, person: bool = False) -> Scene:
    """The scene with that number: a function of (seed, index, person) alone. Seed and index must be non-negative.

    With `person` a person stands well in view: usually from head to foot, 1.8 to 4.5 m away. Without, one scene in
    eight has a person among its furniture.
    """
    rng = np.random.default_rng((seed, index, 3) if person else (seed, index))
    name = pick(rng, ROOMS)
    kind = ROOM_TYPES[name]
    size = (between(rng, *kind.width), between(rng, *kind.length), between(rng, *kind.height))
    room, light = _room(rng, name, size), _light(rng, kind, size)
    wanted = int(rng.integers(kind.count[0], kind.count[1] + 1))
    names = [*kind.required, *(pick(rng, kind.extras) for _ in range(wanted - len(kind.required)))]
    if rng.random() < (0.2 if person else 0.16):  # some of them will find no place
        names.insert(0, "person")
    camera, objects = _peopled(rng, size) if person else (_camera(rng, size), [])
    _furnish(rng, names[: _MOST - len(objects)], size, camera, objects)
    while not objects:  # an awkward camera may leave no place in view
        camera = _camera(rng, size)
        _furnish(rng, names[:_MOST], size, camera, objects)
    x, y, _ = light.position
    bulb = Material(light.colour, emission=3.0)
    fixture = Primitive("frustum", (x, y, size[2] - 0.03), (0.2, 0.2, 0.03), bulb)
    room = replace(room, decor=(*room.decor, ("ceiling", fixture)))
    return Scene(seed, index, room, camera, light, tuple(objects))


def _furnish(
    rng: np.random.Generator, names: list[str], size: Vec3, camera: Camera, objects: list[SceneObject]
) -> None:
    """Add things of those kinds to the objects, as far as there is room for them in view.

    They do not stand in front of what is there already.
    """
    view, clear = View.of(camera), tuple(objects)
    for name in names:
        thing = place(rng, name, size, view, objects, clear)
        if thing is not None:
            objects.append(thing)


def _peopled(rng: np.random.Generator, size: Vec3) -> tuple[Camera, list[SceneObject]]:
    """A camera and a person whom it looks at."""
    while True:
        thing, scale = make(rng, "person", pick(rng, tuple(SIZES)))
        for _ in range(20):  # wide arms may not fit anywhere in a narrow room
            camera = _camera(rng, size)
            heading = camera.yaw - math.atan(between(rng, -0.7, 0.7) * math.tan(camera.fov / 2))
            distance, yaw = between(rng, 1.8, 4.5), between(rng, -math.pi, math.pi)
            x, y, z = camera.position
            position = (x - distance * math.sin(heading), y + distance * math.cos(heading), 0.0)
            if fits(position, thing.extent, yaw, size, camera, []):
                aim = thing.extent[2] / 2 + between(rng, -0.16, 0.16) * distance
                return replace(camera, pitch=math.atan2(aim - z, distance)), [moved(thing, scale, position, yaw)]


def _room(rng: np.random.Generator, name: str, size: Vec3) -> Room:
    kind = ROOM_TYPES[name]
    # One in five rooms ignores the palette of its type, so that colour alone does not give the type away.
    wall = pick(rng, kind.walls if rng.random() < 0.8 else COLOURS)
    floor = pick(rng, kind.floors if rng.random() < 0.8 else COLOURS)
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
