"""What holds between objects as the camera sees them: left of, nearest, next to, ...

Each relation and each superlative has a margin, so that a person would agree with it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diffperc.scenes.render import Rendered
from diffperc.scenes.world import Scene, SceneObject

MIN_DISTRACTOR = 0.0008
"""Share of the image's pixels from which on an object may be taken for the target of an expression."""
WORN = {"person": "shirt", "plant": "pot"}
"""Kinds of which only one part has the object's colour and texture. That part is the first of their primitives."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as it appears: lengths in the image are shares of its width."""

    index: int
    thing: SceneObject
    area: float
    """Share of the image's pixels."""
    left: float
    right: float
    centre: float
    """Mean column."""
    depth: float
    """Depth of its centre, metres."""
    surface: float
    """Median depth of what is seen of it, metres."""
    size: float
    """Edge in metres of a cube with the volume of its bounding box."""
    attributes: frozenset[str]
    """Which of its colour, size and texture an expression may mention."""


Test = Callable[[Seen, Seen], bool]


def seen_objects(scene: Scene, rendered: Rendered) -> list[Seen]:
    """The objects that cover at least MIN_DISTRACTOR of the image."""
    areas = np.bincount(rendered.instance.ravel(), minlength=len(scene.objects) + 1)[1:] / rendered.instance.size
    return [_seen(scene, rendered, int(index)) for index in np.flatnonzero(areas >= MIN_DISTRACTOR)]


def _seen(scene: Scene, rendered: Rendered, index: int) -> Seen:
    thing = scene.objects[index]
    width = rendered.instance.shape[1]
    rows, columns = np.nonzero(rendered.instance == index + 1)
    area = rows.size / rendered.instance.size
    _, depths = scene.camera.project([thing.centre], rendered.instance.shape)
    return Seen(
        index=index,
        thing=thing,
        area=area,
        left=float(columns.min()) / width,
        right=float(columns.max() + 1) / width,
        centre=float(columns.mean() + 0.5) / width,
        depth=float(depths[0]),
        surface=float(np.median(rendered.depth[rows, columns])),
        size=float(np.cbrt(math.prod(thing.extent))),
        attributes=_attributes(thing, area, _shows_colour(scene, rendered, index)),
    )


def _attributes(thing: SceneObject, area: float, shows_colour: bool) -> frozenset[str]:
    mentionable = {"size", "colour", "texture"}
    if thing.size == "medium" or thing.kind == "person":
        mentionable.remove("size")
    if not shows_colour:
        mentionable -= {"colour", "texture"}
    if thing.texture == "plain" or area < 0.008:
        mentionable.discard("texture")
    return frozenset(mentionable)


def _shows_colour(scene: Scene, rendered: Rendered, index: int) -> bool:
    """Whether the part that has the object's colour is seen."""
    thing = scene.objects[index]
    if thing.kind not in WORN:
        return True
    height, width = rendered.depth.shape
    pixels, depths = scene.camera.project([thing.primitives[0].centre], (height, width))
    column, row, depth = int(pixels[0, 0]), int(pixels[0, 1]), float(depths[0])
    inside = 0 <= column < width and 0 <= row < height
    if depth <= 0 or not inside or rendered.instance[row, column] != index + 1:
        return False
    leaves_hide_pot = thing.kind == "plant" and rendered.depth[row, column] <= depth - 0.25
    return not leaves_hide_pot


def _gap(first: Seen, second: Seen) -> float:
    """Metres between two things on the floor; infinite where one stands on a table."""
    if first.thing.support is not None or second.thing.support is not None:
        return math.inf
    (low, high), (other_low, other_high) = _rectangle(first.thing), _rectangle(second.thing)
    x, y = np.maximum(np.maximum(other_low - high, low - other_high), 0.0).tolist()
    return math.hypot(x, y)


def _rectangle(thing: SceneObject) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lowest and highest x and y, metres, of the rectangle that a thing covers on the floor."""
    centres = np.array([part.centre[:2] for part in thing.primitives])
    reaches = np.array([part.reach()[:2] for part in thing.primitives])
    return (centres - reaches).min(axis=0), (centres + reaches).max(axis=0)


def _overlap(first: Seen, second: Seen) -> float:
    """Columns that two things share, as a share of the narrower one; negative where they are apart."""
    shared = min(first.right, second.right) - max(first.left, second.left)
    return shared / min(first.right - first.left, second.right - second.left)


def _left_of(left: Seen, right: Seen) -> bool:
    return right.centre - left.centre > 0.12 and left.right < right.left + 0.02


def _might_be_left_of(left: Seen, right: Seen) -> bool:
    return left.centre < right.centre + 0.02


def _nearer(near: Seen, far: Seen) -> bool:
    return min(far.depth - near.depth, far.surface - near.surface) > 0.4 + 0.1 * near.depth


def _in_front_of(near: Seen, far: Seen) -> bool:
    return _nearer(near, far) and _overlap(near, far) > 0.4


def _might_be_in_front_of(near: Seen, far: Seen) -> bool:
    return near.depth < far.depth and _overlap(near, far) > -1


def _on(first: Seen, second: Seen) -> bool:
    return first.thing.support == second.index


def _next_to(first: Seen, second: Seen) -> bool:
    return _gap(first, second) < 0.4


def _might_be_next_to(first: Seen, second: Seen) -> bool:
    return _gap(first, second) < 0.9


def _smaller(small: Seen, large: Seen) -> bool:
    """Smaller both in the room and in the image."""
    return large.size > 1.25 * small.size and large.area > 1.5 * small.area


def _further_left(left: Seen, right: Seen) -> bool:
    return right.centre - left.centre > 0.1 and left.left < right.left


def _further_right(right: Seen, left: Seen) -> bool:
    return right.centre - left.centre > 0.1 and right.right > left.right


def _swapped(test: Test) -> Test:
    return lambda first, second: test(second, first)


RELATIONS: dict[str, tuple[Test, Test]] = {
    "left of": (_left_of, _might_be_left_of),
    "right of": (_swapped(_left_of), _swapped(_might_be_left_of)),
    "behind": (_swapped(_in_front_of), _swapped(_might_be_in_front_of)),
    "in front of": (_in_front_of, _might_be_in_front_of),
    "on": (_on, _on),
    "next to": (_next_to, _might_be_next_to),
}
"""For each relation, whether it clearly holds between two objects, and whether a person might think that it does."""
SUPERLATIVES: dict[str, Test] = {
    "leftmost": _further_left,
    "rightmost": _further_right,
    "nearest": _nearer,
    "farthest": _swapped(_nearer),
    "largest": _swapped(_smaller),
    "smallest": _smaller,
}
"""For each superlative, whether the first object clearly surpasses the second."""
