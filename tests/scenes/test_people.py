"""Figures: anatomy, keypoints as COCO defines them, and scenes that always have a figure."""

import math

import numpy as np
import pytest

from diffperc.scenes import (
    CLASSES,
    Appearance,
    BodyPose,
    Camera,
    Light,
    Rendered,
    Room,
    Scene,
    SceneObject,
    extent,
    figure,
    keypoints,
    render,
    sample_scene,
)
from diffperc.scenes.people import BONES
from diffperc.scenes.poses import sample_pose
from diffperc.scenes.shapes import Material, Primitive
from diffperc.types.keypoints import COCO_KEYPOINTS

GRAY = Material((0.5, 0.5, 0.5))
APPEARANCE = Appearance(GRAY, GRAY, GRAY, GRAY, GRAY, GRAY, GRAY)
ROOM = Room("hall", (6.0, 6.0, 3.0), "gray", "gray", (GRAY,) * 6, ())
LIGHT = Light((3.0, 3.0, 2.6), (3.0, 3.0, 3.0), (0.3, 0.3, 0.3), 0.25)
SIZE = (128, 128)


def joint(name: str) -> int:
    return COCO_KEYPOINTS.names.index(name)


def person(x: float, y: float, yaw: float, pose: BodyPose | None = None, height: float = 1.7) -> SceneObject:
    parts, joints = figure(pose or BodyPose(), height, APPEARANCE)
    c, s = math.cos(yaw), math.sin(yaw)
    return SceneObject(
        "person", "gray", "medium", "plain", (x, y, 0.0), yaw, (0.5, 0.5, height),
        tuple(part.placed((x, y, 0.0), yaw, 1.0) for part in parts),
        joints=tuple((c * a - s * b + x, s * a + c * b + y, z) for a, b, z in joints),
    )  # fmt: skip


def seen(*objects: SceneObject, yaw: float = 0.0) -> tuple[Scene, Rendered]:
    scene = Scene(0, 0, ROOM, Camera((3.0, 1.0, 1.2), yaw, -0.1, 1.05), LIGHT, objects)
    return scene, render(scene, SIZE)


def block(x: float, y: float, half: tuple[float, float, float]) -> SceneObject:
    solid = Primitive("box", (x, y, half[2]), half, GRAY)
    return SceneObject("box", "gray", "medium", "plain", (x, y, 0.0), 0.0, (half[0], half[1], 2 * half[2]), (solid,))


@pytest.fixture(scope="module")
def peopled() -> list[tuple[Scene, Rendered]]:
    scenes = [sample_scene(7, index, person=True) for index in range(48)]
    return [(scene, render(scene, SIZE)) for scene in scenes]


def test_a_figure_that_faces_the_camera_has_its_left_on_the_right_of_the_image() -> None:
    points = keypoints(*seen(person(3.0, 4.0, math.pi)), 0)
    assert points.shape == (17, 3)
    assert points.dtype == np.float32
    assert (points[:, 2] == 2).all()
    for left, right in [(i, twin) for i, twin in enumerate(COCO_KEYPOINTS.swap) if i < twin]:
        assert points[left, 0] > points[right, 0]
        assert points[left, 0] + points[right, 0] == pytest.approx(128, abs=1.0)  # the middle of the image
    rows = [points[joint(f"left_{name}"), 1] for name in ("eye", "shoulder", "elbow", "wrist", "knee", "ankle")]
    assert rows == sorted(rows)


def test_from_behind_the_face_is_hidden_and_left_is_left() -> None:
    points = keypoints(*seen(person(3.0, 4.0, 0.0)), 0)
    assert (points[:3, 2] == 1).all()
    assert (points[5:7, 2] == 2).all()
    assert points[joint("left_shoulder"), 0] < points[joint("right_shoulder"), 0]


def test_a_figure_from_the_side_hides_its_far_ear_and_shoulder() -> None:
    points = keypoints(*seen(person(3.0, 4.0, math.pi / 2)), 0)  # faces -x: its left is nearer
    assert [points[joint(f"left_{name}"), 2] for name in ("ear", "shoulder", "hip")] == [2, 2, 2]
    assert [points[joint(f"right_{name}"), 2] for name in ("ear", "shoulder", "hip")] == [1, 1, 1]


def test_keypoints_behind_a_box_are_hidden_and_outside_the_image_are_zero() -> None:
    hidden = keypoints(*seen(person(3.0, 4.0, math.pi), block(3.0, 3.0, (0.8, 0.1, 0.4))), 0)
    for name in ("knee", "ankle"):
        assert hidden[joint(f"left_{name}"), 2] == 1
    assert hidden[joint("nose"), 2] == 2
    away = keypoints(*seen(person(3.0, 4.0, math.pi), yaw=math.pi), 0)
    assert not away.any()
    near = keypoints(*seen(person(3.0, 2.2, math.pi)), 0)
    assert not near[joint("left_ankle")].any()
    assert near[joint("left_shoulder"), 2] == 2


def test_bones_keep_their_lengths() -> None:
    pairs = {
        "upper_arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "thigh": ("hip", "knee"),
        "shin": ("knee", "ankle"),
    }  # fmt: skip
    rng = np.random.default_rng(0)
    for _ in range(60):
        parts, joints = figure(sample_pose(rng), 1.6, APPEARANCE)
        points = np.array(joints)
        for bone, (start, end) in pairs.items():
            for side in ("left", "right"):
                length = np.linalg.norm(points[joint(f"{side}_{start}")] - points[joint(f"{side}_{end}")])
                assert length == pytest.approx(1.6 * BONES[bone])
        width = np.linalg.norm(points[joint("left_shoulder")] - points[joint("right_shoulder")])
        assert width == pytest.approx(2 * 1.6 * BONES["shoulder"])
        low = min(part.centre[2] - part.reach()[2] for part in parts)
        assert low == pytest.approx(0, abs=1e-9)  # it stands on the floor


def test_a_standing_figure_is_as_tall_as_asked() -> None:
    for height in (1.45, 1.9):
        top = max(part.centre[2] + part.reach()[2] for part in figure(BodyPose(), height, APPEARANCE)[0])
        assert top == pytest.approx(height, rel=0.04)


def test_visible_keypoints_lie_on_their_person(peopled: list[tuple[Scene, Rendered]]) -> None:
    shown = []
    for scene, rendered in peopled:
        for number, thing in enumerate(scene.objects):
            if thing.kind != "person":
                assert thing.joints == ()
                continue
            points = keypoints(scene, rendered, number)
            (x, y, width, height), area = extent(rendered, number)
            assert area == (rendered.instance == number + 1).sum()
            for u, v, visibility in points.tolist():
                assert visibility or (u == 0 and v == 0)
                assert 0 <= u < 128
                assert 0 <= v < 128
                if visibility == 2:
                    assert rendered.instance[int(v), int(u)] == number + 1
                    assert x <= u <= x + width
                    assert y <= v <= y + height
            shown.append((points[:, 2] == 2).mean())
    assert np.mean(shown) > 0.5


def test_the_flag_guarantees_a_person(peopled: list[tuple[Scene, Rendered]]) -> None:
    for scene, rendered in peopled:
        first = scene.objects[0]
        assert first.kind == "person"
        assert len(first.joints) == 17
        assert (rendered.mask == CLASSES.index("person")).mean() > 0.004
        assert 1.7 < scene.camera.project([first.position], SIZE)[1][0] < 5.2
        assert len(scene.objects) <= 8
    whole = [(keypoints(scene, rendered, 0)[:, 2] > 0).all() for scene, rendered in peopled]
    assert np.mean(whole) > 0.7


def test_without_the_flag_some_scenes_have_a_person() -> None:
    share = np.mean([any(thing.kind == "person" for thing in sample_scene(2, i).objects) for i in range(400)])
    assert 0.07 < share < 0.18


def test_scenes_with_people_are_functions_of_their_numbers() -> None:
    assert sample_scene(4, 9, person=True) == sample_scene(4, 9, person=True)
    assert sample_scene(4, 9, person=True) != sample_scene(4, 9)
    assert sample_scene(4, 9, person=True) != sample_scene(4, 10, person=True)


def test_extent_of_what_is_not_seen() -> None:
    _, rendered = seen(person(3.0, 4.0, math.pi), yaw=math.pi)
    assert extent(rendered, 0) == ((0.0, 0.0, 0.0, 0.0), 0)
