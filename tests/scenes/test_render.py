"""The procedural scenes: reproducible, geometrically exact, and varied."""

import hashlib
import math
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from diffperc.scenes import (
    CLASSES,
    COLOURS,
    MAX_DEPTH,
    ROOMS,
    Camera,
    Light,
    Rendered,
    Room,
    Scene,
    SceneObject,
    caption,
    render,
    sample_scene,
    visible,
)
from diffperc.scenes.furniture import OBJECTS
from diffperc.scenes.shapes import Material, Primitive

GRAY = Material((0.5, 0.5, 0.5))
ROOM = Room("hall", (6.0, 6.0, 3.0), "gray", "gray", (GRAY,) * 6, ())
LIGHT = Light((3.0, 3.0, 2.6), (3.0, 3.0, 3.0), (0.3, 0.3, 0.3), 0.25)
AHEAD = Camera((3.0, 1.0, 1.5), yaw=0.0, pitch=0.0, fov=math.radians(60))


def scene_of(*objects: SceneObject, camera: Camera = AHEAD, light: Light = LIGHT) -> Scene:
    return Scene(0, 0, ROOM, camera, light, objects)


def ball(x: float, y: float, z: float, radius: float) -> SceneObject:
    solid = Primitive("ellipsoid", (x, y, z), (radius, radius, radius), GRAY)
    position, extent = (x, y, z - radius), (radius, radius, 2 * radius)
    return SceneObject("sphere", "gray", "medium", "plain", position, 0.0, extent, (solid,))


def block(x: float, y: float, half: tuple[float, float, float], kind: str = "box") -> SceneObject:
    solid = Primitive("box", (x, y, half[2]), half, GRAY)
    return SceneObject(kind, "gray", "medium", "plain", (x, y, 0.0), 0.0, (half[0], half[1], 2 * half[2]), (solid,))


def digest(seed: int, index: int) -> str:
    seen = render(sample_scene(seed, index), (48, 64))
    parts = (seen.image, seen.depth, seen.mask, seen.instance)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


@pytest.fixture(scope="module")
def sampled() -> list[tuple[Scene, Rendered]]:
    scenes = [sample_scene(7, index) for index in range(64)]
    return [(scene, render(scene, (64, 64))) for scene in scenes]


def test_a_scene_is_the_same_in_another_process_and_order() -> None:
    here = [digest(3, index) for index in range(4)]
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"import importlib.util as u; s = u.spec_from_file_location('t', {__file__!r})\n"
        "m = u.module_from_spec(s); s.loader.exec_module(m)\n"
        "print(*[m.digest(3, index) for index in (3, 2, 1, 0)])"
    )
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert there.stdout.split() == here[::-1]


def test_scenes_of_other_indices_and_seeds_differ() -> None:
    assert len({digest(seed, index) for seed in (0, 1) for index in range(6)}) == 12


def test_types_and_shapes() -> None:
    seen = render(sample_scene(0, 0), (40, 56))
    assert seen.image.shape == (40, 56, 3)
    assert seen.depth.shape == seen.mask.shape == seen.instance.shape == (40, 56)
    arrays = (seen.image, seen.depth, seen.mask, seen.instance)
    assert [array.dtype.name for array in arrays] == ["uint8", "float32", "uint8", "int16"]
    for array in arrays:
        assert array.flags.c_contiguous


def test_depth_of_a_wall_ahead_is_constant() -> None:
    seen = render(scene_of(), (96, 128))
    wall = (seen.mask == CLASSES.index("wall")) & (seen.depth > 4.999)
    # 5 m ahead, the 3 m high and 6 m wide wall spans 3 / 5 and 6 / 5 focal lengths.
    focal = 48 / math.tan(math.radians(30))
    assert wall.sum() == pytest.approx(0.6 * focal * 1.2 * focal, rel=0.03)
    np.testing.assert_allclose(seen.depth[wall], 5.0, rtol=1e-5)


def test_floor_and_ceiling_depth_follow_the_rows() -> None:
    seen = render(scene_of(), (96, 96))
    focal = 48 / math.tan(math.radians(30))
    rows = np.arange(96) + 0.5 - 48
    for row in (0, 5, 90, 95):  # camera half-way between the floor and the ceiling
        np.testing.assert_allclose(seen.depth[row], 1.5 * focal / abs(rows[row]), rtol=1e-4)
    assert (seen.mask[0] == CLASSES.index("ceiling")).all()
    assert (seen.mask[-1] == CLASSES.index("floor")).all()


def test_depth_and_silhouette_of_a_sphere() -> None:
    radius, distance = 0.5, 3.0
    seen = render(scene_of(ball(3.0, 1.0 + distance, 1.5, radius)), (129, 129))
    assert seen.depth[64, 64] == pytest.approx(distance - radius, abs=1e-4)
    focal = 129 / 2 / math.tan(math.radians(30))
    expected = focal * radius / math.sqrt(distance**2 - radius**2)
    assert math.sqrt((seen.instance == 1).sum() / math.pi) == pytest.approx(expected, rel=0.01)


def test_depth_of_a_box_cylinder_and_cone() -> None:
    upright = [
        Primitive("box", (3.0, 4.0, 1.5), (0.5, 0.5, 0.5), GRAY, yaw=math.pi / 4),
        Primitive("frustum", (3.0, 4.0, 1.5), (0.5, 0.5, 0.5), GRAY),
        Primitive("frustum", (3.0, 4.0, 1.5), (0.5, 0.5, 0.5), GRAY, taper=0.0),
    ]
    # Nearest at an edge (half the diagonal), at the radius, and at half of it as half-way up the cone.
    for solid, near in zip(upright, (math.sqrt(0.5), 0.5, 0.25), strict=True):
        thing = SceneObject("box", "gray", "medium", "plain", (3.0, 4.0, 1.0), 0.0, (0.5, 0.5, 1.0), (solid,))
        assert render(scene_of(thing), (65, 65)).depth[32, 32] == pytest.approx(3.0 - near, abs=2e-3)


def test_wide_and_tall_images_share_the_middle_of_a_square_one() -> None:
    scene = scene_of(ball(2.6, 4.0, 1.2, 0.4), block(3.8, 3.5, (0.3, 0.2, 0.4)))
    square, wide = render(scene, (64, 64)), render(scene, (64, 100))
    np.testing.assert_allclose(wide.depth[:, 18:82], square.depth, rtol=1e-5)
    np.testing.assert_array_equal(wide.instance[:, 18:82], square.instance)
    tall = render(scene, (64, 40))
    np.testing.assert_array_equal(tall.instance, square.instance[:, 12:52])


def test_project_inverts_depth_and_rays() -> None:
    camera = Camera((2.0, 1.0, 1.4), yaw=-0.4, pitch=-0.2, fov=1.0)
    size = (60, 90)
    u, v = np.array([3.5, 45.0, 80.25], np.float32), np.array([50.0, 30.0, 7.5], np.float32)
    points = np.array(camera.position) + (camera.rays(u, v, size) * np.array([2.0, 3.0, 4.0])).T
    pixels, depths = camera.project(points, size)
    np.testing.assert_allclose(pixels, np.stack([u, v], axis=1), atol=1e-3)
    np.testing.assert_allclose(depths, [2.0, 3.0, 4.0], rtol=1e-5)


def test_projected_centres_fall_inside_their_instances() -> None:
    camera = Camera((3.0, 0.6, 1.6), yaw=0.15, pitch=-0.3, fov=1.1)
    things = (ball(2.0, 3.5, 0.3, 0.3), ball(3.2, 4.5, 0.4, 0.4), block(2.9, 2.6, (0.2, 0.3, 0.2)))
    seen = render(scene_of(*things, camera=camera), (72, 96))
    pixels, depths = camera.project([thing.centre for thing in things], (72, 96))
    for number, ((u, v), depth) in enumerate(zip(pixels, depths, strict=True), 1):
        assert seen.instance[int(v), int(u)] == number
        assert seen.depth[int(v), int(u)] < depth


def test_a_blocked_light_leaves_the_floor_darker() -> None:
    camera = Camera((3.0, 0.6, 1.6), yaw=0.0, pitch=-0.5, fov=1.0)
    light = Light((1.0, 3.0, 1.5), (3.0, 3.0, 3.0), (0.3, 0.3, 0.3), 0.25)
    screen = block(2.5, 3.0, (0.05, 0.6, 0.4))  # 0.8 m high: hides the floor up to 1.7 m behind it
    lit, shaded = (render(scene_of(*things, camera=camera, light=light), (96, 96)) for things in ((), (screen,)))
    pixels, _ = camera.project([(3.3, 3.0, 0.0), (3.3, 1.9, 0.0)], (96, 96))
    (hidden_u, hidden_v), (open_u, open_v) = pixels.astype(int)
    assert shaded.instance[hidden_v, hidden_u] == 0
    before, after = (seen.image.astype(float).mean(axis=2) for seen in (lit, shaded))
    assert after[hidden_v, hidden_u] < 0.7 * after[open_v, open_u]
    assert before[hidden_v, hidden_u] > 0.9 * before[open_v, open_u]


def test_edges_are_antialiased() -> None:
    white = Primitive("box", (3.0, 4.0, 1.5), (0.5, 0.1, 0.5), Material((0.9, 0.9, 0.9)), tilt=0.0, yaw=0.3)
    thing = SceneObject("box", "white", "medium", "plain", (3.0, 4.0, 1.0), 0.3, (0.5, 0.1, 1.0), (white,))
    dark = Room("hall", ROOM.size, "black", "black", (Material((0.01, 0.01, 0.01)),) * 6, ())
    seen = render(Scene(0, 0, dark, Camera((3.2, 1.0, 1.7), 0.1, 0.05, 1.0), LIGHT, (thing,)), (64, 64))
    gray = seen.image.astype(int).sum(axis=2)
    inside, outside = np.median(gray[seen.instance == 1]), np.median(gray[seen.instance == 0])
    between = (gray > outside + 0.2 * (inside - outside)) & (gray < inside - 0.2 * (inside - outside))
    assert between.sum() > 20


def test_depth_is_positive_and_bounded(sampled: list[tuple[Scene, Rendered]]) -> None:
    for _, seen in sampled:
        assert seen.depth.min() > 0.05
        assert seen.depth.max() <= MAX_DEPTH


def test_masks_agree_with_instances(sampled: list[tuple[Scene, Rendered]]) -> None:
    for scene, seen in sampled:
        assert set(np.unique(seen.mask[seen.instance == 0])) <= {0, 1, 2}
        for number, thing in enumerate(scene.objects, 1):
            assert (seen.mask[seen.instance == number] == CLASSES.index(thing.kind)).all()


def test_images_are_exposed_and_show_objects(sampled: list[tuple[Scene, Rendered]]) -> None:
    for scene, seen in sampled:
        assert 40 < seen.image.mean() < 220
        assert seen.image.std() > 8
        assert 1 <= len(scene.objects) <= 8
        assert (seen.instance > 0).mean() < 0.8
    assert np.mean([len(visible(seen)) for _, seen in sampled]) > 3


def overlapping(scene: Scene) -> Iterator[tuple[str, str]]:
    boxes = []
    for thing in scene.objects:
        if thing.support is None:
            reach = [(np.array(part.centre), np.array(part.reach())) for part in thing.primitives]
            low = np.min([centre - half for centre, half in reach], axis=0)
            boxes.append((thing.kind, low, np.max([centre + half for centre, half in reach], axis=0)))
    for i, (first, low, high) in enumerate(boxes):
        for second, other_low, other_high in boxes[:i]:
            if (low < other_high).all() and (other_low < high).all():
                yield first, second


def test_objects_are_inside_the_room_and_apart(sampled: list[tuple[Scene, Rendered]]) -> None:
    for scene, _ in sampled:
        assert list(overlapping(scene)) == []
        for thing in scene.objects:
            for part in thing.primitives:
                low, high = np.array(part.centre) - part.reach(), np.array(part.centre) + part.reach()
                assert (low > -1e-6).all()
                assert (high < scene.room.size).all()
            if thing.support is not None:
                table = scene.objects[thing.support]
                assert table.kind == "table"
                assert thing.position[2] == pytest.approx(table.extent[2])


def test_every_room_class_and_colour_occurs() -> None:
    rooms: set[str] = set()
    classes: set[int] = set()
    colours: set[str] = set()
    for index in range(240):
        scene = sample_scene(11, index)
        rooms.add(scene.room.kind)
        classes.update(np.unique(render(scene, (24, 24)).mask).tolist())
        colours.update(thing.colour for thing in scene.objects)
    assert rooms == set(ROOMS)
    assert classes == set(range(len(CLASSES)))
    assert colours == set(COLOURS)


def test_caption_names_the_room_and_visible_objects_only(sampled: list[tuple[Scene, Rendered]]) -> None:
    for scene, seen in sampled:
        text = caption(scene, seen)
        room = scene.room.kind.replace("_", " ")
        assert f" {room}" in text
        objects = text[: text.rindex(f" in a{'n' if room[0] == 'o' else ''} {room}")].split()
        shown = [scene.objects[i] for i in visible(seen)]
        assert {word for word in objects if word in OBJECTS} <= {thing.kind for thing in shown}
        assert {word for word in objects if word in COLOURS} <= {thing.colour for thing in shown}
        assert caption(scene, seen) == text


def test_caption_relates_objects_as_seen() -> None:
    left, right = ball(2.2, 3.5, 0.4, 0.4), block(3.9, 3.5, (0.2, 0.2, 0.2))
    camera = Camera((3.0, 0.6, 1.6), yaw=0.0, pitch=-0.35, fov=1.1)
    scene = scene_of(left, right, camera=camera)
    assert "a gray sphere left of a gray box in a hall" in caption(scene, render(scene, (64, 64)))
