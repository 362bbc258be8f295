"""Referring expressions: each is true of exactly one object, by predicates written independently of the generator."""

import re
from collections import Counter

import numpy as np
import pytest

from diffperc.scenes import (
    COLOURS,
    SIZES,
    TEXTURES,
    Camera,
    Light,
    Rendered,
    Room,
    Scene,
    SceneObject,
    expressions,
    render,
    sample_scene,
    visible,
)
from diffperc.scenes.furniture import OBJECTS
from diffperc.scenes.shapes import Material, Primitive

SIZE = (96, 96)
RELATIONS = ("left of", "right of", "in front of", "behind", "next to", "on")
EXTREMES = ("leftmost", "rightmost", "nearest", "farthest", "largest", "smallest")


def described(scene: Scene, words: str, number: int) -> bool:
    """Whether every word of "the red box" or "the person in the red shirt" fits that object."""
    thing = scene.objects[number]
    fits = {thing.kind, thing.colour, thing.size, thing.texture, "the", "in", "shirt", "pot"}
    return set(words.split()) <= fits


def related(scene: Scene, rendered: Rendered, relation: str, first: int, second: int) -> bool:
    columns = [np.nonzero(rendered.instance == number + 1)[1].mean() for number in (first, second)]
    points = [scene.objects[number].centre for number in (first, second)]
    depths = scene.camera.project(points, SIZE)[1]
    match relation:
        case "left of":
            return bool(columns[0] < columns[1] - 1)
        case "right of":
            return bool(columns[0] > columns[1] + 1)
        case "on":
            return scene.objects[first].support == second
        case "next to":
            things = (scene.objects[first], scene.objects[second])
            return all(thing.support is None for thing in things) and clearance(*things) < 0.6
    spans = [np.nonzero((rendered.instance == number + 1).any(axis=0))[0][[0, -1]] for number in (first, second)]
    apart = max(spans[0][0], spans[1][0]) > min(spans[0][1], spans[1][1])
    return not apart and bool(depths[0] > depths[1] if relation == "behind" else depths[0] < depths[1])


def clearance(first: SceneObject, second: SceneObject) -> float:
    """Metres between the rectangles around two things on the floor."""
    (low, high), (other_low, other_high) = (
        (
            np.min([np.subtract(part.centre, part.reach()) for part in thing.primitives], axis=0)[:2],
            np.max([np.add(part.centre, part.reach()) for part in thing.primitives], axis=0)[:2],
        )
        for thing in (first, second)
    )
    return float(np.linalg.norm(np.maximum(np.maximum(low - other_high, other_low - high), 0)))


def measure(scene: Scene, rendered: Rendered, word: str, number: int) -> float:
    """A number that is greatest for the object that the word means."""
    columns = np.nonzero(rendered.instance == number + 1)[1]
    depth = float(scene.camera.project([scene.objects[number].centre], SIZE)[1][0])
    volume = float(np.prod(scene.objects[number].extent))
    values = {"leftmost": -columns.mean(), "rightmost": columns.mean(), "nearest": -depth, "farthest": depth}
    return float({**values, "largest": volume, "smallest": -volume}[word])


def meant(scene: Scene, rendered: Rendered, text: str) -> list[int]:
    """The recognisable objects of which the expression is true."""
    counts = [(rendered.instance == number + 1).mean() for number in range(len(scene.objects))]
    shown = [number for number, share in enumerate(counts) if share >= 0.0008]
    if match := re.fullmatch(rf"the ({'|'.join(EXTREMES)}) (\w+)", text):
        same = [number for number in shown if scene.objects[number].kind == match[2]]
        return [max(same, key=lambda number: measure(scene, rendered, match[1], number))]
    if match := re.fullmatch(rf"(the .+) ({'|'.join(RELATIONS)}) (the .+)", text):
        anchors = [number for number in shown if described(scene, match[3], number)]
        assert len(anchors) == 1, text
        return [
            number
            for number in shown
            if number != anchors[0]
            and described(scene, match[1], number)
            and related(scene, rendered, match[2], number, anchors[0])
        ]
    return [number for number in shown if described(scene, text, number)]


@pytest.fixture(scope="module")
def sampled() -> list[tuple[Scene, Rendered]]:
    scenes = [sample_scene(6, index, person=index % 3 == 0) for index in range(150)]
    return [(scene, render(scene, SIZE)) for scene in scenes]


def test_each_expression_is_true_of_its_target_only(sampled: list[tuple[Scene, Rendered]]) -> None:
    for scene, rendered in sampled:
        for expression in expressions(scene, rendered):
            assert meant(scene, rendered, expression.text) == [expression.target], (scene.index, expression)


def test_targets_are_visible_and_have_a_few_different_expressions(sampled: list[tuple[Scene, Rendered]]) -> None:
    said, total = 0, 0
    for scene, rendered in sampled:
        found = expressions(scene, rendered)
        counts = Counter(expression.target for expression in found)
        assert set(counts) <= set(visible(rendered))
        assert max(counts.values(), default=0) <= 4
        assert len({expression.text for expression in found}) == len(found)
        said, total = said + len(counts), total + len(visible(rendered))
    assert said > 0.95 * total


def test_the_words_and_every_form_occur(sampled: list[tuple[Scene, Rendered]]) -> None:
    texts = [expression.text for scene, rendered in sampled for expression in expressions(scene, rendered)]
    words = {word for text in texts for word in text.split()}
    known = {*COLOURS, *TEXTURES, *SIZES, *OBJECTS, *EXTREMES, "person"}
    assert words <= known | {"the", "in", "shirt", "pot", *" ".join(RELATIONS).split()}
    for form in (*RELATIONS, *EXTREMES, "person in the", "plant in the", "small", "striped"):
        assert any(f" {form} " in text for text in texts), form


def test_expressions_are_the_same_every_time(sampled: list[tuple[Scene, Rendered]]) -> None:
    for scene, rendered in sampled[:10]:
        assert expressions(scene, rendered) == expressions(scene, rendered)


GRAY = Material((0.5, 0.5, 0.5))
ROOM = Room("hall", (6.0, 6.0, 3.0), "gray", "gray", (GRAY,) * 6, ())
LIGHT = Light((3.0, 3.0, 2.6), (3.0, 3.0, 3.0), (0.3, 0.3, 0.3), 0.25)


def block(x: float, y: float, colour: str, kind: str = "box") -> SceneObject:
    solid = Primitive("box", (x, y, 0.25), (0.25, 0.25, 0.25), GRAY)
    return SceneObject(kind, colour, "medium", "plain", (x, y, 0.0), 0.0, (0.25, 0.25, 0.5), (solid,))


def said_of(number: int, *objects: SceneObject) -> set[str]:
    scene = Scene(0, 0, ROOM, Camera((3.0, 0.6, 1.6), 0.0, -0.3, 1.1), LIGHT, objects)
    return {one.text for one in expressions(scene, render(scene, SIZE)) if one.target == number}


def test_two_alike_are_told_apart_by_their_places_only() -> None:
    boxes = (block(2.0, 3.0, "red"), block(4.0, 3.0, "red"))
    assert said_of(0, *boxes) == {"the leftmost box"}
    assert said_of(1, *boxes) == {"the rightmost box"}


def test_colours_that_look_alike_do_not_tell_apart() -> None:
    assert "the red box" in said_of(0, block(2.0, 3.0, "red"), block(4.0, 3.0, "blue"))
    assert "the red box" not in said_of(0, block(2.0, 3.0, "red"), block(4.0, 3.0, "orange"))


def test_a_relation_names_the_one_on_that_side() -> None:
    row = (block(1.7, 3.5, "red"), block(3.0, 3.5, "gray", "chair"), block(4.3, 3.5, "red"))
    assert {"the box left of the chair", "the red box left of the chair"} <= said_of(0, *row)
    assert "the box right of the chair" in said_of(2, *row)


def test_what_nothing_sets_apart_is_skipped() -> None:
    row = (block(1.8, 3.5, "red"), block(3.0, 3.5, "red"), block(4.2, 3.5, "red"))
    assert said_of(1, *row) == set()
