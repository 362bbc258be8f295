"""Referring expressions: phrases that are true of exactly one of the objects seen in a picture.

Whatever is said of the target holds with a margin, and fails for every other object of its kind with a margin too, so
that a person would pick the same object.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .captions import visible
from .render import Rendered
from .world import Scene, SceneObject

MIN_DISTRACTOR = 0.0008
"""Share of the image's pixels from which on an object may be taken for the target."""
MOST = 4
"""Expressions for one object."""

_ALIKE = {
    frozenset(pair.split())
    for pair in (
        "red orange", "red brown", "red pink", "orange brown", "orange yellow", "yellow white", "green cyan",
        "cyan blue", "blue purple", "purple pink", "brown black", "white gray", "gray black", "gray brown",
        "striped zigzag", "striped planked", "checkered tiled", "brick tiled", "brick planked",
    )
}  # fmt: skip
"""Colours and textures that a person may mistake for each other under a coloured light or from afar."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A phrase and the index in scene.objects of what it means."""

    text: str
    target: int


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as it appears: lengths in the image as shares of its width."""

    index: int
    thing: SceneObject
    area: float
    """Share of the image's pixels."""
    left: float
    right: float
    centre: float
    """Mean column."""
    depth: float
    """Of its centre, metres."""
    surface: float
    """Median depth of what is seen of it, metres."""
    size: float
    """Edge in metres of a cube of the volume of its bounding box."""
    clear: bool
    """Whether the part that has its colour is seen."""


Test = Callable[[Seen, Seen], bool]
_SAID = ((), ("colour",), ("size",), ("size", "colour"), ("texture",), ("colour", "texture"))
_OF_ANCHOR = ((), ("colour",))


def expressions(scene: Scene, rendered: Rendered) -> tuple[Expression, ...]:
    """Up to MOST expressions for each object that `visible` names; the same every time for a scene."""
    rng = np.random.default_rng((scene.seed, scene.index, 2))
    candidates = _seen(scene, rendered)
    by_index = {one.index: one for one in candidates}
    found: list[Expression] = []
    for index in visible(rendered):
        target = by_index[index]
        rivals = [one for one in candidates if one is not target and one.thing.kind == target.thing.kind]
        anchors = [by_index[i] for i in visible(rendered) if i != index]
        groups = [
            list(_plain(target, rivals)),
            list(_related(target, rivals, anchors, candidates)),
            list(_extreme(target, rivals)),
        ]
        texts: list[str] = []
        for group in groups:
            rng.shuffle(group)
        while any(groups) and len(texts) < MOST:  # in turns, for the variety
            texts += [group.pop() for group in groups if group][: MOST - len(texts)]
        found += [Expression(text, index) for text in dict.fromkeys(texts)]
    return tuple(found)


def _seen(scene: Scene, rendered: Rendered) -> list[Seen]:
    height, width = rendered.instance.shape
    found = []
    for index, thing in enumerate(scene.objects):
        rows, columns = np.nonzero(rendered.instance == index + 1)
        area = rows.size / rendered.instance.size
        if area < MIN_DISTRACTOR:
            continue
        pixels, depths = scene.camera.project([thing.centre, thing.primitives[0].centre], (height, width))
        j, i = (int(value) for value in np.clip(pixels[1], -1, (width, height)))
        inside = 0 <= j < width and 0 <= i < height and depths[1] > 0
        # The coloured part of a plant or a person (pot, shirt) comes first among the primitives.
        clear = thing.kind not in ("plant", "person") or bool(inside and rendered.instance[i, j] == index + 1)
        clear = clear and (thing.kind != "plant" or bool(rendered.depth[i, j] > depths[1] - 0.25))
        found.append(
            Seen(
                index=index,
                thing=thing,
                area=area,
                left=float(columns.min()) / width,
                right=float(columns.max() + 1) / width,
                centre=float(columns.mean() + 0.5) / width,
                depth=float(depths[0]),
                surface=float(np.median(rendered.depth[rows, columns])),
                size=float(np.cbrt(math.prod(thing.extent))),
                clear=clear,
            )
        )
    return found


def _plain(target: Seen, rivals: list[Seen]) -> Iterator[str]:
    for said in _SAID:
        if _sayable(target, said) and not any(_confusable(target, other, said) for other in rivals):
            yield "the " + _phrase(target.thing, said)


def _related(target: Seen, rivals: list[Seen], anchors: list[Seen], candidates: list[Seen]) -> Iterator[str]:
    for anchor in anchors:
        others = [one for one in candidates if one is not anchor and one.thing.kind == anchor.thing.kind]
        name = next(_plain(anchor, others), None)
        if name is None or len(name.split()) > 6:
            continue
        for relation, (holds, may_hold) in _RELATIONS.items():
            if not holds(target, anchor):
                continue
            rest = [other for other in rivals if other is not anchor and may_hold(other, anchor)]
            for said in _OF_ANCHOR:
                if _sayable(target, said) and not any(_confusable(target, other, said) for other in rest):
                    yield f"the {_phrase(target.thing, said)} {relation} {name}"


def _extreme(target: Seen, rivals: list[Seen]) -> Iterator[str]:
    if rivals:
        for word, surpasses in _EXTREMES.items():
            if all(surpasses(target, other) for other in rivals):
                yield f"the {word} {target.thing.kind}"


def _phrase(thing: SceneObject, said: tuple[str, ...]) -> str:
    """Kind and attributes; the colour and the texture of a plant or a person are those of the pot or the shirt."""
    words = [thing.size] if "size" in said else []
    cover = [str(getattr(thing, name)) for name in ("colour", "texture") if name in said]
    worn = {"person": "shirt", "plant": "pot"}.get(thing.kind)
    if worn and cover:
        return " ".join([*words, thing.kind, "in the", *cover, worn])
    return " ".join([*words, *cover, thing.kind])


def _sayable(target: Seen, said: tuple[str, ...]) -> bool:
    thing = target.thing
    if "size" in said and (thing.size == "medium" or thing.kind == "person"):
        return False
    if "texture" in said and (thing.texture == "plain" or target.area < 0.008):
        return False
    return target.clear or not {"colour", "texture"} & set(said)


def _confusable(target: Seen, other: Seen, said: tuple[str, ...]) -> bool:
    """Whether what is said of the target might be said of another object of its kind."""
    return all(_CONFUSABLE[name](target, other) for name in said)


def _alike(first: str, second: str) -> bool:
    return first == second or frozenset((first, second)) in _ALIKE


def _as_large(target: Seen, other: Seen) -> bool:
    if target.thing.size == "large":
        return other.thing.size == "large" or other.size * 1.25 > target.size
    return other.thing.size == "small" or other.size < target.size * 1.25


def _gap(first: Seen, second: Seen) -> float:
    """Metres between two things on the floor; infinite where one stands on a table."""
    if first.thing.support is not None or second.thing.support is not None:
        return math.inf
    (ax, ay, bx, by), (cx, cy, dx, dy) = _rectangle(first.thing), _rectangle(second.thing)
    return math.hypot(max(cx - bx, ax - dx, 0.0), max(cy - by, ay - dy, 0.0))


def _rectangle(thing: SceneObject) -> tuple[float, float, float, float]:
    """Low x, low y, high x and high y of what a thing covers of the floor, metres."""
    spans = [(*part.centre[:2], *part.reach()[:2]) for part in thing.primitives]
    low = (min(x - a for x, _, a, _ in spans), min(y - b for _, y, _, b in spans))
    return (*low, max(x + a for x, _, a, _ in spans), max(y + b for _, y, _, b in spans))


def _overlap(first: Seen, second: Seen) -> float:
    """Columns that two things share, as a part of the narrower one; negative where they are apart."""
    shared = min(first.right, second.right) - max(first.left, second.left)
    return shared / min(first.right - first.left, second.right - second.left)


def _apart(left: Seen, right: Seen) -> bool:
    return right.centre - left.centre > 0.12 and left.right < right.left + 0.02


def _farther(near: Seen, far: Seen) -> bool:
    return min(far.depth - near.depth, far.surface - near.surface) > 0.4 + 0.1 * near.depth


def _on(first: Seen, second: Seen) -> bool:
    return first.thing.support == second.index


def _outgrows(small: Seen, large: Seen) -> bool:
    """Larger both in the room and in the picture."""
    return large.size > 1.25 * small.size and large.area > 1.5 * small.area


_CONFUSABLE: dict[str, Test] = {
    "colour": lambda target, other: _alike(target.thing.colour, other.thing.colour),
    "texture": lambda target, other: _alike(target.thing.texture, other.thing.texture),
    "size": _as_large,
}
_RELATIONS: dict[str, tuple[Test, Test]] = {
    "left of": (_apart, lambda a, b: a.centre < b.centre + 0.02),
    "right of": (lambda a, b: _apart(b, a), lambda a, b: a.centre > b.centre - 0.02),
    "behind": (
        lambda a, b: _farther(b, a) and _overlap(a, b) > 0.4,
        lambda a, b: a.depth > b.depth and _overlap(a, b) > -1,
    ),
    "in front of": (
        lambda a, b: _farther(a, b) and _overlap(a, b) > 0.4,
        lambda a, b: a.depth < b.depth and _overlap(a, b) > -1,
    ),
    "on": (_on, _on),
    "next to": (lambda a, b: _gap(a, b) < 0.4, lambda a, b: _gap(a, b) < 0.9),
}
"""For each relation whether it clearly holds, and whether a person might say that it does."""
_EXTREMES: dict[str, Test] = {
    "leftmost": lambda a, b: b.centre - a.centre > 0.1 and a.left < b.left,
    "rightmost": lambda a, b: a.centre - b.centre > 0.1 and a.right > b.right,
    "nearest": _farther,
    "farthest": lambda a, b: _farther(b, a),
    "largest": lambda a, b: _outgrows(b, a),
    "smallest": _outgrows,
}
"""For each superlative whether the first object clearly surpasses the second."""
