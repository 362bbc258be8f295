"""Captions: a sentence about the objects that can be seen in a scene."""

import numpy as np

from diffperc.scenes.furniture import pick
from diffperc.scenes.render import Rendered
from diffperc.scenes.world import Room, Scene, SceneObject

MIN_VISIBLE = 0.003
"""Share of the image's pixels that an object must cover to be mentioned."""
_UNMENTIONED = ("plain", "medium")
"""A texture and a size that are left out."""


def visible(rendered: Rendered) -> tuple[int, ...]:
    """Indices of the objects that cover at least MIN_VISIBLE of the image, largest first."""
    counts = np.bincount(rendered.instance.ravel())[1:]
    order = np.argsort(-counts, kind="stable")
    large = counts[order] >= MIN_VISIBLE * rendered.instance.size
    return tuple(order[large].tolist())


def caption(scene: Scene, rendered: Rendered) -> str:
    """A sentence naming the type of room and up to three visible objects; always the same for a scene."""
    rng = np.random.default_rng((scene.seed, scene.index, 1))
    named = visible(rendered)[:3]
    parts = []
    for i, number in enumerate(named):
        if i > 0:
            parts.append(_relation(scene, rendered, named[i - 1], number))
        parts.append(_description(scene.objects[number], with_texture=rng.random() < 0.6))
    if not named:
        parts.append("an empty view")
    parts.append("in " + _with_article(scene.room.kind.replace("_", " ")))
    if rng.random() < 0.8:
        parts.append(_walls_and_floor(scene.room))
    return pick(rng, ("", "", "a picture of ", "a view of ")) + " ".join(parts)


def _description(thing: SceneObject, with_texture: bool) -> str:
    texture = thing.texture if with_texture else "plain"
    if thing.kind == "person":
        return "a person in " + _with_article(_joined(thing.colour, texture, "shirt"))
    return _with_article(_joined(thing.size, thing.colour, texture, thing.kind))


def _walls_and_floor(room: Room) -> str:
    floor = _joined(room.floor_colour, room.surfaces[4].texture, "floor")
    return f"with {room.wall_colour} walls and {_with_article(floor)}"


def _relation(scene: Scene, rendered: Rendered, first: int, second: int) -> str:
    """Where the first object is relative to the second, as the camera sees them."""
    if scene.objects[first].support == second:
        return "on"
    if scene.objects[second].support == first:
        return "under"
    height, width = rendered.depth.shape
    points = (scene.objects[first].centre, scene.objects[second].centre)
    pixels, depths = scene.camera.project(points, (height, width))
    offset = (pixels[1, 0] - pixels[0, 0]) / width
    gap = depths[1] - depths[0]
    if offset > 0.12:
        return "left of"
    if offset < -0.12:
        return "right of"
    if gap > 0.5:
        return "in front of"
    if gap < -0.5:
        return "behind"
    return "next to"


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word not in _UNMENTIONED)


def _with_article(words: str) -> str:
    article = "an" if words[0] in "aeiou" else "a"
    return f"{article} {words}"
