"""Captions: a sentence about the objects that can be seen in a scene."""

import numpy as np

from .furniture import pick
from .render import Rendered
from .world import Scene, SceneObject

MIN_VISIBLE = 0.003
"""Share of the image's pixels that an object must cover to be mentioned."""


def visible(rendered: Rendered) -> tuple[int, ...]:
    """Indices of the objects that cover at least MIN_VISIBLE of the image, largest first."""
    counts = np.bincount(rendered.instance.ravel())[1:]
    order = np.argsort(-counts, kind="stable")
    return tuple(int(i) for i in order if counts[i] >= MIN_VISIBLE * rendered.instance.size)


def caption(scene: Scene, rendered: Rendered) -> str:
    """A sentence naming the type of room and up to three visible objects; the same every time for a scene."""
    rng = np.random.default_rng((scene.seed, scene.index, 1))
    named = visible(rendered)[:3]
    parts = [_described(scene.objects[i], rng.random() < 0.6) for i in named]
    text = "an empty view" if not parts else parts[0]
    for previous, current, part in zip(named, named[1:], parts[1:], strict=False):
        text += f" {_relation(scene, rendered, previous, current)} {part}"
    room = scene.room
    text += f" in {_article(room.kind.replace('_', ' '))}"
    if rng.random() < 0.8:
        floor = room.surfaces[4].texture
        pattern = "" if floor == "plain" else f" {floor}"
        text += f" with {room.wall_colour} walls and {_article(f'{room.floor_colour}{pattern} floor')}"
    return pick(rng, ("", "", "a picture of ", "a view of ")) + text


def _described(thing: SceneObject, with_texture: bool) -> str:
    cover = [thing.colour] if thing.texture == "plain" or not with_texture else [thing.colour, thing.texture]
    if thing.kind == "person":
        return f"a person in {_article(' '.join([*cover, 'shirt']))}"
    words = [] if thing.size == "medium" else [thing.size]
    return _article(" ".join([*words, *cover, thing.kind]))


def _relation(scene: Scene, rendered: Rendered, first: int, second: int) -> str:
    """How the first object lies to the second, as the camera sees them."""
    if scene.objects[first].support == second:
        return "on"
    if scene.objects[second].support == first:
        return "under"
    height, width = rendered.depth.shape
    points = [scene.objects[i].centre for i in (first, second)]
    pixels, depths = scene.camera.project(points, (height, width))
    offset = (pixels[1, 0] - pixels[0, 0]) / width
    if abs(offset) > 0.12:
        return "left of" if offset > 0 else "right of"
    gap = float(depths[1] - depths[0])
    if abs(gap) > 0.5:
        return "in front of" if gap > 0 else "behind"
    return "next to"


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
