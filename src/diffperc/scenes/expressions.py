"""Referring expressions: phrases that describe exactly one of the objects seen in an image.

Every phrase describes its target with a margin, and fails to describe every other object of that kind with a margin, so
that a person would pick the same object.
"""

from dataclasses import dataclass
from itertools import chain, islice, zip_longest

import numpy as np

from diffperc.scenes.captions import visible
from diffperc.scenes.relations import RELATIONS, SUPERLATIVES, WORN, Seen, Test, seen_objects
from diffperc.scenes.render import Rendered
from diffperc.scenes.world import Scene, SceneObject

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
_ATTRIBUTES = ((), ("colour",), ("size",), ("size", "colour"), ("texture",), ("colour", "texture"))
"""What a phrase without a relation may mention beside the kind."""
_RELATED_ATTRIBUTES = ((), ("colour",))
"""What a phrase with a relation may mention of the target."""
_LONGEST_NAME = 6
"""Words in the name of the second object of a relation."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A phrase and the index in scene.objects of what it means."""

    text: str
    target: int


def expressions(scene: Scene, rendered: Rendered) -> tuple[Expression, ...]:
    """Up to MOST expressions for each object that `visible` lists; always the same for a scene."""
    rng = np.random.default_rng((scene.seed, scene.index, 2))
    candidates = seen_objects(scene, rendered)
    by_index = {one.index: one for one in candidates}
    named = [by_index[index] for index in visible(rendered)]
    found: list[Expression] = []
    for target in named:
        rivals = _rivals(target, candidates)
        related = []
        for anchor in named:
            related += _related(target, rivals, anchor, candidates)
        groups = [_plain(target, rivals), related, _superlative(target, rivals)]
        for group in groups:
            rng.shuffle(group)
        # One from each group in turn, for variety.
        texts = filter(None, chain.from_iterable(zip_longest(*map(reversed, groups))))
        found += [Expression(text, target.index) for text in islice(texts, MOST)]
    return tuple(found)


def _rivals(target: Seen, candidates: list[Seen]) -> list[Seen]:
    """The other objects of the target's kind."""
    return [one for one in candidates if one is not target and one.thing.kind == target.thing.kind]


def _plain(target: Seen, rivals: list[Seen]) -> list[str]:
    return _distinguishing(target, rivals, _ATTRIBUTES)


def _related(target: Seen, rivals: list[Seen], anchor: Seen, candidates: list[Seen]) -> list[str]:
    """Phrases that relate the target to an anchor, which must be another object with a short name of its own."""
    if anchor is target:
        return []
    name = next(iter(_plain(anchor, _rivals(anchor, candidates))), "")
    if not 0 < len(name.split()) <= _LONGEST_NAME:
        return []
    found = []
    for relation, (holds, might_hold) in RELATIONS.items():
        if not holds(target, anchor):
            continue
        confusable = [one for one in rivals if one is not anchor and might_hold(one, anchor)]
        phrases = _distinguishing(target, confusable, _RELATED_ATTRIBUTES)
        found += [f"{phrase} {relation} {name}" for phrase in phrases]
    return found


def _superlative(target: Seen, rivals: list[Seen]) -> list[str]:
    """Phrases such as "the largest box"; none for the only object of its kind."""
    if not rivals:
        return []
    phrases = []
    for word, surpasses in SUPERLATIVES.items():
        surpassed = [one for one in rivals if surpasses(target, one)]
        if len(surpassed) == len(rivals):
            phrases.append(f"the {word} {target.thing.kind}")
    return phrases


def _distinguishing(target: Seen, rivals: list[Seen], choices: tuple[tuple[str, ...], ...]) -> list[str]:
    """A phrase for each choice of attributes that may be mentioned of the target and fits none of its rivals."""
    phrases = []
    for attributes in choices:
        if not target.attributes.issuperset(attributes):
            continue
        confusable = [rival for rival in rivals if _fits(attributes, target, rival)]
        if not confusable:
            phrases.append(_phrase(target.thing, attributes))
    return phrases


def _phrase(thing: SceneObject, attributes: tuple[str, ...]) -> str:
    """Kind and attributes; the colour and the texture of a plant or a person are those of the pot or the shirt."""
    size: list[str] = []
    cover: list[str] = []
    for name in attributes:
        words = size if name == "size" else cover
        words.append(str(getattr(thing, name)))
    if cover and thing.kind in WORN:
        return " ".join(["the", *size, thing.kind, "in the", *cover, WORN[thing.kind]])
    return " ".join(["the", *size, *cover, thing.kind])


def _fits(attributes: tuple[str, ...], target: Seen, rival: Seen) -> bool:
    """Whether a person might find these attributes of the target in a rival."""
    return all(_SIMILAR[name](target, rival) for name in attributes)


def _alike(first: str, second: str) -> bool:
    return first == second or frozenset((first, second)) in _ALIKE


def _similar_size(target: Seen, rival: Seen) -> bool:
    if target.thing.size == "large":
        return rival.thing.size == "large" or rival.size * 1.25 > target.size
    return rival.thing.size == "small" or rival.size < target.size * 1.25


_SIMILAR: dict[str, Test] = {
    "colour": lambda target, rival: _alike(target.thing.colour, rival.thing.colour),
    "texture": lambda target, rival: _alike(target.thing.texture, rival.thing.texture),
    "size": _similar_size,
}
