"""Resizing and augmentation on arrays whose outcome is known."""

from __future__ import annotations

from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from diffperc.data import Draw, PerceptionDataset, PreparedDataset
from diffperc.errors import ConfigError
from diffperc.preprocessing import Augmentation, Preprocess, image_tensor
from diffperc.targets import DepthTarget, MaskTarget
from diffperc.types import DatasetInfo, DenseTarget, Panel, Sample, Statistics

SEEDS = range(200)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("short_side", "shape", "expected"),
    [
        (30, (60, 80), (30, 40)),
        (30, (80, 60), (40, 30)),
        (31, (61, 83), (31, 42)),  # 42.18
        (20, (33, 47), (20, 28)),  # 28.48
        (21, (33, 47), (21, 30)),  # 29.91
        (64, (48, 63), (64, 84)),  # enlarged
        (1, (1000, 3), (333, 1)),  # 333.33
        (15, (30, 49), (15, 24)),  # 24.5: Python rounds half to even
        (15, (30, 51), (15, 26)),  # 25.5
        (1, (3, 4), (1, 1)),  # 1.33
    ],
)
def test_the_short_side_is_reached_and_the_aspect_is_kept(
    short_side: int, shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert Preprocess(short_side=short_side).evaluation(noise(*shape)).shape == (*expected, 3)
    scale = short_side / min(shape)
    assert expected == tuple(max(1, round(side * scale)) for side in shape)


@pytest.mark.parametrize("shape", [(37, 53), (20, 90), (64, 48)])
def test_size_wins_over_the_aspect(shape: tuple[int, int]) -> None:
    preprocess = Preprocess(size=[64, 48])
    assert preprocess.size == (64, 48)
    assert preprocess.evaluation(noise(*shape)).shape == (64, 48, 3)


def test_without_sizes_an_image_is_left_as_it_is() -> None:
    image = noise(37, 53)
    assert Preprocess().evaluation(image) is image
    for same in (Preprocess(short_side=37), Preprocess(size=(37, 53), interpolation="antialiased")):
        assert np.array_equal(same.evaluation(image), image)


OPENCV = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA, "nearest": cv2.INTER_NEAREST}


@pytest.mark.parametrize("size", [(16, 40), (90, 70)], ids=["shrunk", "enlarged"])
def test_interpolations_are_those_of_the_libraries(size: tuple[int, int]) -> None:
    image, (height, width) = noise(41, 59), size
    antialiased = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    expected = {name: cv2.resize(image, (width, height), interpolation=flag) for name, flag in OPENCV.items()}
    expected["antialiased"] = np.asarray(antialiased)
    found = {name: Preprocess(size=size, interpolation=name).evaluation(image) for name in expected}
    for name, resized in found.items():
        assert resized.dtype == np.uint8
        assert np.array_equal(resized, expected[name])
    assert np.array_equal(Preprocess(size=size).evaluation(image), expected["linear"])
    assert len({resized.tobytes() for resized in found.values()}) == len(found)


def test_antialiasing_averages_over_what_a_shrunk_pixel_covers() -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    nearest, antialiased = (
        Preprocess(size=(8, 8), interpolation=name).evaluation(stripes) for name in ("nearest", "antialiased")
    )
    assert set(np.unique(nearest)) <= {0, 200}
    assert np.abs(antialiased[:, 1:-1].astype(int) - 100).max() <= 2


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("source", "size"), [((7, 11), (14, 22)), ((20, 30), (8, 9)), ((9, 9), (4, 13))])
def test_ground_truth_takes_the_value_whose_pixel_holds_the_centre(
    source: tuple[int, int], size: tuple[int, int], dtype: type
) -> None:
    """Pixel i of n covers (i + 1/2) m / n of m pixels, rounded down; OpenCV's plain nearest takes i m / n."""
    values: Any = np.arange(source[0] * source[1]).reshape(source).astype(dtype)
    rows = ((np.arange(size[0]) + 0.5) * source[0] / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * source[1] / size[1]).astype(int)
    expected = values[np.ix_(rows, columns)]
    found = Preprocess().resized_target(values, size)
    assert found.dtype == dtype
    assert np.array_equal(found, expected)
    stacked = np.stack([values, values + 1, values * 2], -1)
    assert np.array_equal(Preprocess().resized_target(stacked, size), stacked[np.ix_(rows, columns)])


def test_plain_nearest_neighbours_would_move_ground_truth() -> None:
    values = np.arange(30, dtype=np.uint8)[None].repeat(3, 0)
    plain = cv2.resize(values, (6, 3), interpolation=cv2.INTER_NEAREST)
    assert plain[0].tolist() == [0, 5, 10, 15, 20, 25]
    assert Preprocess().resized_target(values, (3, 6))[0].tolist() == [2, 7, 12, 17, 22, 27]


def test_ground_truth_of_the_right_size_is_not_touched() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert Preprocess(size=(9, 9)).resized_target(values, (3, 4)) is values


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"interpolation": "liner"},
            r"preprocessing\.interpolation: there is no 'liner'; did you mean 'linear'\? Known:",
        ),
        ({"interpolation": "bilinear"}, r"preprocessing\.interpolation: there is no 'bilinear'.*antialiased"),
        ({"short_side": 0}, r"preprocessing\.short_side: must be at least 1 pixel, found 0"),
        ({"size": (0, 32)}, r"preprocessing\.size: must be at least 1 pixel, found"),
        ({"size": [32, -1]}, r"preprocessing\.size: must be at least 1 pixel, found"),
        ({"short_side": [0, 32]}, r"preprocessing\.short_side: must be at least 1 pixel, found 0"),
        ({"size": [32]}, r"preprocessing\.size: must be \(height, width\), found \[32\]"),
        ({"crop": 0}, r"preprocessing\.crop: must be at least 1 pixel, found 0"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Preprocess(**options)


def test_an_image_becomes_a_tensor_between_0_and_1() -> None:
    image = noise(5, 7)
    tensor = image_tensor(image)
    assert (tensor.shape, tensor.dtype) == ((3, 5, 7), torch.float32)
    assert torch.equal((tensor * 255).round().to(torch.uint8), torch.from_numpy(image).permute(2, 0, 1))
    image[:] = 0
    assert tensor.any()  # a copy


class XTarget(DenseTarget):
    """Values are the columns in the scene, mirrored or not, as the x of surface normals is."""

    name = "x"
    dims = "B 1 h w"
    turns = True

    def __init__(self) -> None:
        self.calls = 0

    def mirrored(self, values: np.ndarray) -> np.ndarray:
        self.calls += 1
        return -values

    def tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.copy())[None]

    def statistics(self, sample: Sample, info: DatasetInfo) -> Statistics:
        return Statistics()

    def panel(self, sample: Sample, info: DatasetInfo) -> Panel:
        return Panel("x", sample.image)


class Columns(PerceptionDataset):
    """Red is the column plus 1, so that 0 is what was padded; the ground truth is the same as a signed x."""

    provides = ("x", "mask")
    info = DatasetInfo("columns")

    def __init__(self, split: Any, height: int = 24, width: int = 32) -> None:
        self.split = split
        red = np.broadcast_to(np.arange(1, width + 1), (height, width))
        self.image = np.stack([red, red * 0 + 5, red * 0 + 7], -1).astype(np.uint8)
        self.values: dict[str, Any] = {"x": red.astype(np.float32), "mask": red.astype(np.uint8)}

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Sample:
        return Sample(f"columns{index}", self.image, self.values)


# wider and lower than the image: crops happen in one direction, padding in the other
GEOMETRY = [
    A.HorizontalFlip(p=0.5),
    A.RandomCrop(height=20, width=24),
    A.PadIfNeeded(40, 40, position="random", fill=0, fill_mask=0),
]


def test_values_turn_exactly_when_the_image_was_mirrored() -> None:
    target = XTarget()
    data = PreparedDataset(Columns("train"), Preprocess(augment=GEOMETRY), target)
    mirrored = 0
    for seed in SEEDS:
        before = target.calls
        item = data[Draw(seed % 4, seed)]
        red, x = (item.image[0] * 255).round(), item.targets["x"][0]
        assert red.shape == x.shape == (40, 40)
        row = red[red.any(1)][0]
        columns = row[row > 0]
        assert len(columns) == 24
        flipped = bool(columns[0] > columns[-1])
        assert target.calls - before == int(flipped)
        assert torch.equal(x, -red if flipped else red)
        mirrored += flipped
    assert 70 < mirrored < 130


@pytest.mark.parametrize(("flips", "turned"), [(0, False), (1, True), (2, False), (3, True)])
def test_two_mirrorings_are_none(flips: int, turned: bool) -> None:
    target = XTarget()
    augmentation = Augmentation([A.HorizontalFlip(p=1.0)] * flips, target)
    values = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    _, found = augmentation(noise(3, 4), values, seed=0)
    assert target.calls == int(turned)
    assert np.array_equal(found, -values[:, ::-1] if turned else values)


def test_resizing_does_not_look_like_mirroring() -> None:
    """Scales repeat or skip columns."""
    target = XTarget()
    transforms = [A.RandomScale(scale_limit=(-0.7, 1.5), p=1.0)]
    augmentation = Augmentation(transforms, target)
    data = Columns("train")
    for seed in SEEDS:
        augmentation(data.image, data.values["x"], seed)
    assert target.calls == 0
    augmentation = Augmentation([*transforms, A.HorizontalFlip(p=1.0)], target)
    for seed in SEEDS:
        augmentation(data.image, data.values["x"], seed)
    assert target.calls == len(SEEDS)


def test_targets_that_do_not_turn_are_never_mirrored_by_value() -> None:
    class Same(XTarget):
        turns = False

    target = Same()
    data = PreparedDataset(Columns("train"), Preprocess(augment=GEOMETRY), target)
    for seed in SEEDS:
        item = data[Draw(0, seed)]
        assert torch.equal((item.image[0] * 255).round(), item.targets["x"][0])
    assert target.calls == 0


@pytest.mark.parametrize("interpolation", ["linear", "antialiased"])
def test_training_at_a_size_sees_the_image_of_evaluation(interpolation: str) -> None:
    """Without augmentation the two are one, and the ground truth of training has the image's size."""
    preprocess = Preprocess(size=(17, 29), interpolation=interpolation)
    train, val = (PreparedDataset(Columns(split), preprocess, MaskTarget()) for split in ("train", "val"))
    trained, evaluated = train[Draw(0, 3)], val[Draw(0, 0)]
    assert torch.equal(trained.image, evaluated.image)
    assert trained.image.shape == (3, 17, 29)
    assert trained.targets["mask"].shape == (17, 29)
    assert evaluated.targets["mask"].shape == (24, 32)
    resizing = PreparedDataset(Columns("val"), preprocess, MaskTarget(), resize_target=True)[Draw(0, 0)]
    assert torch.equal(resizing.image, evaluated.image)
    assert torch.equal(resizing.targets["mask"], trained.targets["mask"])
    assert resizing.meta.size == (24, 32)


def test_the_short_side_is_for_evaluation_alone() -> None:
    preprocess = Preprocess(short_side=12)
    train, val = (PreparedDataset(Columns(split), preprocess, MaskTarget()) for split in ("train", "val"))
    assert train[Draw(0, 0)].image.shape == (3, 24, 32)
    assert val[Draw(0, 0)].image.shape == (3, 12, 16)


def test_the_longer_side_is_bounded_after_resizing() -> None:
    """A short side of 64 makes 256,000 columns of an image of 1 x 4000."""
    bounded = Preprocess(short_side=64, max_side=512)
    assert bounded.evaluation_size(1, 4000) == ((1, 512), True)
    assert bounded.evaluation_size(100, 800) == ((64, 512), False)
    assert bounded.evaluation_size(800, 99) == ((512, 63), True)
    assert bounded.evaluation_size(300, 200) == ((96, 64), False)
    assert Preprocess(max_side=512).evaluation_size(512, 40) == ((512, 40), False)
    assert Preprocess(max_side=None).evaluation_size(9000, 40) == ((9000, 40), False)


@pytest.mark.parametrize(
    ("transform", "target", "refused"),
    [
        (A.PadIfNeeded(64, 64), MaskTarget(), True),
        (A.PadIfNeeded(64, 64, fill_mask=255), MaskTarget(), False),
        (A.PadIfNeeded(64, 64), DepthTarget(), False),
        (A.PadIfNeeded(64, 64, fill_mask=255), DepthTarget(), True),
        (A.RandomCrop(8, 8), MaskTarget(), False),
        (A.RandomCrop(8, 8, pad_if_needed=True), MaskTarget(), True),
        (A.HorizontalFlip(), MaskTarget(), False),
    ],
)
def test_padding_that_would_be_a_class_is_refused(transform: Any, target: Any, refused: bool) -> None:
    preprocess = Preprocess(augment=[transform])
    if refused:
        with pytest.raises(ConfigError, match=f"pads the target '{target.name}' .*set its fill_mask={target.padding}"):
            preprocess.check(target)
    else:
        preprocess.check(target)
