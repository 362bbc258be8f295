from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from diffperc.errors import ConfigError
from diffperc.geometry.person_crop import Crop, PersonCrop
from diffperc.tasks.pose.heatmaps import decode, mirrored, to_image
from diffperc.types import Person, Sample
from diffperc.types.keypoints import COCO_KEYPOINTS as SPEC

SIZE = (240, 320)
STILL = {"flip": 0.0, "half_body": 0.0, "rotation_probability": 0.0, "scale": 0.0}
MIRROR = STILL | {"flip": 1.0}


def person(seed: int, box: tuple[float, float, float, float] = (60.3, 30.7, 90.5, 160.2)) -> Sample:
    """A smooth image, and joints anywhere in the box, all visible."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = [127 + 100 * np.sin(rows / a + columns / b) for a, b in ((17, 23), (31, -19), (-13, 41))]
    x = box[0] + rng.random(17) * (box[2] - 1)
    y = box[1] + rng.random(17) * (box[3] - 1)
    joints = tuple((float(a), float(b), 2.0) for a, b in zip(x, y, strict=True))
    return Sample("x", np.stack(waves, -1).astype(np.uint8), person=Person(box, joints, area=box[2] * box[3]))


def with_joints(sample: Sample, joints: np.ndarray) -> Sample:
    assert sample.person is not None
    rows = tuple((float(x), float(y), float(v)) for x, y, v in joints)
    return Sample("x", sample.image, person=Person(sample.person.box, rows))


def joints_of(sample: Sample) -> np.ndarray:
    assert sample.person is not None
    return np.array(sample.person.keypoints)


def to_crop(crop: Crop, points: np.ndarray) -> np.ndarray:
    matrix = np.array(crop.matrix)
    return np.linalg.solve(matrix[:, :2], (points - matrix[:, 2]).T).T


def scale_of(crop: Crop) -> float:
    return float(np.sqrt(abs(np.linalg.det(np.array(crop.matrix)[:, :2]))))


def test_a_box_of_the_crops_size_is_cut_out_as_it_is() -> None:
    sample = person(0, (40, 8, 192, 224))
    crop = PersonCrop((224, 192), padding=1.0)(sample, SPEC, None)
    assert np.allclose(crop.matrix, ((1, 0, 40), (0, 1, 8)))
    assert np.array_equal(crop.image, sample.image[8:232, 40:232])


@pytest.mark.parametrize("box", [(60.3, 30.7, 90.5, 160.2), (10, 100, 200, 20), (0, 0, 320, 240), (5, 5, 1, 1)])
def test_the_boxs_centre_is_the_crops_centre_and_the_padded_box_fills_it(
    box: tuple[float, float, float, float],
) -> None:
    crop = PersonCrop()(person(0, box), SPEC, None)
    centre = np.array([[box[0] + (box[2] - 1) / 2, box[1] + (box[3] - 1) / 2]])
    assert np.allclose(to_crop(crop, centre), (191 / 2, 255 / 2))
    # intervals: padded by 1.25, the longer side relative to the crop's shape spans the crop
    assert scale_of(crop) == pytest.approx(1.25 * max(max(box[2] - 1, 1) / 191, max(box[3] - 1, 1) / 255))


def test_what_is_outside_the_image_is_mid_grey() -> None:
    crop = PersonCrop()(person(0, (0, 0, 320, 240)), SPEC, None)
    assert (crop.image[:40] == 127).all()
    assert (crop.image[128, 60:130] != 127).any()


@pytest.mark.parametrize("seed", range(60))
def test_keypoints_survive_the_way_through_crop_and_heatmap(seed: int) -> None:
    """Random boxes, rotations, scales, flips and half bodies; joints whose neighbourhood lies in the crop."""
    rng = np.random.default_rng(seed)
    box = (rng.uniform(0, 120), rng.uniform(0, 60), rng.uniform(30, 200), rng.uniform(60, 180))
    sample, cropper = person(seed, box), PersonCrop()
    crop = cropper(sample, SPEC, rng)
    heatmap = torch.from_numpy(crop.heatmap)[None]
    points, confidence = decode(heatmap)
    found = to_image(points, cropper.heatmap_size, cropper.size, torch.tensor([crop.matrix]))[0].numpy()
    flipped = np.linalg.det(np.array(crop.matrix)[:, :2]) < 0
    truth = joints_of(sample)[list(SPEC.swap) if flipped else slice(None), :2]
    p = to_crop(crop, truth)
    inside = ((p > 0) & (p < (191, 255))).all(1)
    assert inside.any()
    assert np.abs(found - truth)[inside].max() < 0.1
    assert crop.weight[inside].all()
    assert (confidence[0].numpy()[inside] > 0.75).all()
    assert np.array_equal(crop.visible, inside) or np.abs(np.minimum(p, (191, 255) - p)).min() < 0.5


def test_augmentations_all_occur_and_stay_in_their_limits() -> None:
    sample, cropper = person(1), PersonCrop(half_body=0.0)
    base = scale_of(cropper(sample, SPEC, None))
    linear = np.array([cropper(sample, SPEC, np.random.default_rng(i)).matrix for i in range(400)])[:, :, :2]
    flipped = np.linalg.det(linear) < 0
    assert 0.4 < flipped.mean() < 0.6
    factors = np.sqrt(np.abs(np.linalg.det(linear))) / base
    assert factors.min() == pytest.approx(0.5)
    assert factors.max() == pytest.approx(1.5)
    assert 0.15 < (np.isclose(factors, 0.5) | np.isclose(factors, 1.5)).mean() < 0.5  # a normal beyond one sigma: 0.32
    angles = np.rad2deg(np.arctan2(linear[:, 1, 1], linear[:, 0, 1])) - 90
    assert 0.3 < np.isclose(angles, 0).mean() < 0.5
    assert 75 < np.abs(angles).max() <= 80.001


def test_the_same_random_state_gives_the_same_crop_and_none_does_not_augment() -> None:
    sample, cropper = person(1), PersonCrop()
    first, second = (cropper(sample, SPEC, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert first.matrix == second.matrix
    plain = PersonCrop(**STILL)(sample, SPEC, np.random.default_rng(5))
    assert plain.matrix == cropper(sample, SPEC, None).matrix


@pytest.mark.parametrize("seed", range(8))
def test_the_flip_of_the_crop_is_the_crop_of_the_flip(seed: int) -> None:
    """Of the image, its box and its joints; and of the crop by `flip`: exact, without a shift."""
    rng = np.random.default_rng(seed)
    x, y, w, h = rng.uniform(0, 120), rng.uniform(0, 60), rng.uniform(30, 200), rng.uniform(60, 180)
    sample, still = person(seed, (x, y, w, h)), PersonCrop()
    joints = joints_of(sample)
    joints[:, 0] = SIZE[1] - 1 - joints[:, 0]
    rows = tuple((float(a), float(b), float(v)) for a, b, v in joints[list(SPEC.swap)])
    other = Sample("x", sample.image[:, ::-1].copy(), person=Person((SIZE[1] - x - w, y, w, h), rows))
    crop, of_flip = still(sample, SPEC, None), still(other, SPEC, None)
    by_flip = PersonCrop(**MIRROR)(sample, SPEC, np.random.default_rng(0))
    flipped = mirrored(torch.from_numpy(crop.heatmap)[None], SPEC.swap)[0].numpy()
    for mirror in (of_flip, by_flip):
        assert np.abs(mirror.heatmap - flipped).max() < 1e-4
        assert np.array_equal(mirror.weight, crop.weight[list(SPEC.swap)])
        assert np.array_equal(mirror.visible, crop.visible[list(SPEC.swap)])
        # bilinear weights are rounded in OpenCV
        difference = np.abs(mirror.image.astype(int) - crop.image[:, ::-1])
        assert difference.mean() < 0.5
        assert difference.max() <= 4 or (difference > 4).mean() < 0.02


@pytest.mark.parametrize("lower", [False, True])
def test_half_body_uses_one_half(lower: bool) -> None:
    """A head at the top, legs at the bottom; the crop is centred on one of them, and both come up."""
    sample = person(0)
    joints = joints_of(sample)
    joints[:11, 1], joints[11:, 1] = np.linspace(40, 60, 11), np.linspace(150, 180, 6)
    cropper = PersonCrop(**STILL | {"half_body": 1.0})
    crops = [cropper(with_joints(sample, joints), SPEC, np.random.default_rng(i)) for i in range(12)]
    half = joints[11:, :2] if lower else joints[:11, :2]
    middle = (half.min(0) + half.max(0)) / 2
    mine = [c for c in crops if np.allclose(to_crop(c, middle[None]), (191 / 2, 255 / 2))]
    assert 1 < len(mine) < 11
    points = to_crop(mine[0], half)
    # the half's joints lie inside with a margin of a sixth on either side: 1.2 x 1.25 = 1.5
    extent = np.ptp(points, axis=0) / (191, 255)
    assert extent.max() == pytest.approx(1 / 1.5)
    assert mine[0].weight[11:].all() if lower else mine[0].weight[:11].all()


def test_few_labelled_joints_are_not_halved() -> None:
    sample = person(0)
    joints = joints_of(sample)
    joints[8:, 2] = 0
    always = PersonCrop(**STILL | {"half_body": 1.0})
    assert (
        always(with_joints(sample, joints), SPEC, np.random.default_rng(0)).matrix == always(sample, SPEC, None).matrix
    )
    joints[8, 2] = 1  # the ninth
    assert (
        always(with_joints(sample, joints), SPEC, np.random.default_rng(0)).matrix != always(sample, SPEC, None).matrix
    )


def test_weights_and_visibility() -> None:
    """Joints placed by where they are in the heatmap: 48 x 64, sigma 2, so a patch reaches 6 pixels."""
    sample, cropper = person(0), PersonCrop()
    matrix = np.array(cropper(sample, SPEC, None).matrix)
    cells = np.zeros((17, 2))
    cells[:8] = [(20, 30), (20, 30), (20, 30), (-5.9, 30), (-6.1, 30), (52.9, 30), (20, 69.1), (47, 63)]
    points = cells * (191 / 47, 255 / 63) @ matrix[:, :2].T + matrix[:, 2]
    visibility = np.array([2, 1, 0, 2, 2, 1, 2, 2] + [0] * 9)
    crop = cropper(with_joints(sample, np.column_stack([points, visibility])), SPEC, None)
    assert crop.weight.tolist() == [1, 1, 0, 1, 0, 1, 0, 1] + [0] * 9
    assert crop.visible.tolist() == [True] + [False] * 6 + [True] + [False] * 9
    assert crop.heatmap[0, 30, 20] == pytest.approx(1)
    assert crop.heatmap[0, 30, 22] == pytest.approx(np.exp(-0.5))
    assert crop.heatmap[0, 33, 24] == pytest.approx(np.exp(-25 / 8))
    assert (crop.heatmap[crop.weight == 0] == 0).all()
    assert crop.heatmap[3, 30, 0] == pytest.approx(np.exp(-(5.9**2) / 8), rel=1e-4)


def test_a_detection_has_no_heatmap() -> None:
    sample = person(0)
    assert sample.person is not None
    bare = Sample("x", sample.image, person=Person(sample.person.box))
    for rng, key in itertools.product((None, np.random.default_rng(0)), ("heatmap", "weight", "visible")):
        assert not getattr(PersonCrop()(bare, SPEC, rng), key).any()
    assert PersonCrop()(bare, SPEC, None).matrix == PersonCrop()(sample, SPEC, None).matrix


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="a crop of 250x192 pixels has no whole heatmap cells of 4"):
        PersonCrop((250, 192))
    with pytest.raises(ValueError, match="Person has 1 keypoints, its data set names 17"):
        PersonCrop()(with_joints(person(0), np.ones((1, 3))), SPEC, None)
