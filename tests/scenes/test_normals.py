"""Surface normals of the scenes: known values, and agreement with the depth map."""

import math
import pickle

import numpy as np
import numpy.typing as npt
import pytest

from diffperc.scenes import CLASSES, Camera, Light, Rendered, Room, Scene, SceneObject, render, sample_scene
from diffperc.scenes.shapes import Material, Primitive

GRAY = Material((0.5, 0.5, 0.5))
ROOM = Room("hall", (6.0, 6.0, 3.0), "gray", "gray", (GRAY,) * 6, ())
LIGHT = Light((3.0, 3.0, 2.6), (3.0, 3.0, 3.0), (0.3, 0.3, 0.3), 0.25)
AHEAD = Camera((3.0, 1.0, 1.5), yaw=0.0, pitch=0.0, fov=math.radians(60))
SIZE = (96, 160)

Array = npt.NDArray[np.float64]


def viewing_rays(camera: Camera, size: tuple[int, int]) -> Array:
    """Camera coordinates (H, W, 3), 1 m along the optical axis, of the rays through the pixels' centres."""
    v, u = np.indices(size) + 0.5
    focal = camera.focal(size[0])
    return np.stack([(u - size[1] / 2) / focal, (v - size[0] / 2) / focal, np.ones(size)], axis=-1)


@pytest.fixture(scope="module")
def sampled() -> list[tuple[Scene, Rendered]]:
    scenes = [sample_scene(13, index, person=index % 2 == 0) for index in range(24)]
    return [(scene, render(scene, SIZE)) for scene in scenes]


def test_normals_are_unit_vectors_that_face_the_camera(sampled: list[tuple[Scene, Rendered]]) -> None:
    for scene, rendered in sampled:
        normals = rendered.normals
        assert normals.shape == (*SIZE, 3)
        assert normals.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-6)
        assert ((normals * viewing_rays(scene.camera, SIZE)).sum(axis=-1) < 0).all()


def test_the_normal_of_the_floor_is_the_cameras_up_vector() -> None:
    camera = Camera((2.0, 1.0, 1.4), yaw=-0.4, pitch=-0.1, fov=1.0)
    rendered = render(Scene(0, 0, ROOM, camera, LIGHT, ()), SIZE)
    up = camera.rotation()[:, 2].astype(np.float32)
    for name, normal in (("floor", up), ("ceiling", -up)):
        normals = rendered.normals[rendered.mask == CLASSES.index(name)]
        assert len(normals) > 0
        assert (normals == normal).all()


def test_the_normal_of_a_wall_ahead_points_at_the_camera() -> None:
    rendered = render(Scene(0, 0, ROOM, AHEAD, LIGHT, ()), SIZE)
    ahead = (rendered.mask == CLASSES.index("wall")) & (rendered.depth > 4.999)
    assert (rendered.normals[ahead] == (0, 0, -1)).all()
    left = rendered.normals[SIZE[0] // 2, 0]
    assert left.tolist() == [1, 0, 0]


def test_the_normal_of_a_sphere_points_away_from_its_middle() -> None:
    middle, radius = np.array([0.5, 0.3, 3.0]), 0.6  # in camera coordinates
    x, y, z = 3.0 + middle[0], 1.0 + middle[2], 1.5 - middle[1]
    solid = Primitive("ellipsoid", (x, y, z), (radius, radius, radius), GRAY)
    extent = (radius, radius, 2 * radius)
    ball = SceneObject("sphere", "gray", "medium", "plain", (x, y, z - radius), 0.0, extent, (solid,))
    rendered = render(Scene(0, 0, ROOM, AHEAD, LIGHT, (ball,)), SIZE)
    inside = rendered.instance == 1
    points = viewing_rays(AHEAD, SIZE)[inside] * rendered.depth[inside][:, None]
    np.testing.assert_allclose(rendered.normals[inside], (points - middle) / radius, atol=1e-3)


def test_normals_agree_with_the_depth_map_away_from_edges(sampled: list[tuple[Scene, Rendered]]) -> None:
    agrees: list[npt.NDArray[np.bool_]] = []
    for scene, rendered in sampled:
        points = viewing_rays(scene.camera, SIZE) * rendered.depth[..., None].astype(np.float64)
        down, right = points[2:, 1:-1] - points[:-2, 1:-1], points[1:-1, 2:] - points[1:-1, :-2]
        numerical = np.cross(down, right)
        numerical /= np.linalg.norm(numerical, axis=-1, keepdims=True)
        cosine = (numerical * rendered.normals[1:-1, 1:-1]).sum(axis=-1)
        smooth = is_smooth(rendered)
        assert smooth.mean() > 0.5
        agrees.append(cosine[smooth] > math.cos(math.radians(3)))
    assert np.concatenate(agrees).mean() > 0.95


def is_smooth(rendered: Rendered) -> npt.NDArray[np.bool_]:
    """Which inner pixels (H - 2, W - 2) show the same thing as their four neighbours, with no crease between them."""
    key = rendered.instance.astype(int) * len(CLASSES) + rendered.mask
    inverse = 1 / rendered.depth.astype(np.float64)  # linear in the image across a plane
    smooth = np.ones((SIZE[0] - 2, SIZE[1] - 2), np.bool_)
    for low, high in ((np.s_[:-2, 1:-1], np.s_[2:, 1:-1]), (np.s_[1:-1, :-2], np.s_[1:-1, 2:])):
        smooth &= (key[low] == key[1:-1, 1:-1]) & (key[high] == key[1:-1, 1:-1])
        smooth &= np.abs(inverse[low] + inverse[high] - 2 * inverse[1:-1, 1:-1]) < 0.005 * inverse[1:-1, 1:-1]
    return smooth


def test_a_rendered_scene_can_be_pickled_with_its_normals() -> None:
    rendered = render(sample_scene(0, 0), (32, 48))
    assert (pickle.loads(pickle.dumps(rendered)).normals == rendered.normals).all()
