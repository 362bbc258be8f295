"""The published augmentations on images whose outcome is known."""

from __future__ import annotations

from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest

from diffperc.data import Draw, PerceptionDataset, PreparedDataset
from diffperc.errors import DataError
from diffperc.preprocessing import (
    ClassLimitedCrop,
    PhotometricDistortion,
    Preprocess,
    RandomRatioResize,
    VerticalCutDepth,
)
from diffperc.targets import DepthTarget, MaskTarget
from diffperc.types import DatasetInfo, DenseTarget, Sample


def run(transform: Any, seed: int = 0, **arrays: Any) -> dict[str, Any]:
    """As `Augmentation` does it."""
    compose = A.Compose([transform], additional_targets={"depth": "mask", "referent": "mask"})
    compose.set_random_seed(seed)
    return compose(**arrays)


def grey(height: int, width: int, value: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    "transform",
    [
        RandomRatioResize((80, 40)),
        ClassLimitedCrop(20, 20),
        PhotometricDistortion(),
        VerticalCutDepth(p=0.5),
    ],
    ids=lambda t: type(t).__name__,
)
def test_what_is_drawn_follows_from_the_seed_alone(transform: Any) -> None:
    arrays = {
        "image": noise(40, 50),
        "mask": noise(40, 50)[..., 0] % 5,
        "depth": noise(40, 50)[..., 1] / np.float32(25),
    }
    first = [run(transform, seed, **arrays) for seed in range(8)]
    for seed in reversed(range(8)):
        again = run(transform, seed, **arrays)
        assert all(np.array_equal(again[name], first[seed][name]) for name in arrays)
    assert len({done["image"].tobytes() for done in first}) > 3
    assert np.array_equal(arrays["image"], noise(40, 50))  # what was given is not written to


@pytest.mark.parametrize(
    ("shape", "ratio", "expected"),
    [
        ((512, 683), 1.0, (512, 683)),  # the short side decides
        ((300, 400), 1.0, (512, 683)),  # 682.67
        ((400, 300), 0.5, (341, 256)),  # 341.33
        ((300, 400), 2.0, (1024, 1365)),  # 1365.33
        ((256, 342), 2.0, (1024, 1368)),
        ((100, 800), 1.0, (256, 2048)),  # the long side decides
        ((100, 800), 0.5, (128, 1024)),
    ],
)
def test_the_frame_is_scaled_and_the_image_fits_into_it(
    shape: tuple[int, int], ratio: float, expected: tuple[int, int]
) -> None:
    done = run(RandomRatioResize((2048, 512), (ratio, ratio)), image=grey(*shape), mask=np.zeros(shape, np.uint8))
    assert done["image"].shape == (*expected, 3)
    assert done["mask"].shape == expected


def test_ratios_are_drawn_evenly() -> None:
    sides = [run(RandomRatioResize((400, 100)), seed, image=grey(10, 20))["image"].shape[0] for seed in range(400)]
    assert 50 <= min(sides) < 55
    assert 195 < max(sides) <= 200
    assert np.mean(sides) == pytest.approx(125, abs=6.5)  # three standard errors
    assert np.mean(np.array(sides) < 87.5) == pytest.approx(0.25, abs=0.065)


def test_the_image_is_interpolated_and_targets_are_not() -> None:
    half = np.zeros((20, 20), np.uint8)
    half[:, 10:] = 200
    done = run(
        RandomRatioResize((50, 50), (1.0, 1.0)),
        image=np.stack([half] * 3, -1),
        mask=half,
        depth=half.astype(np.float32) / 7,
        referent=half // 200,
    )
    assert {0, 200} < set(np.unique(done["image"]))
    assert set(np.unique(done["mask"])) == {0, 200}
    assert set(np.unique(done["depth"])) == {np.float32(0), np.float32(200) / np.float32(7)}
    assert done["depth"].dtype == np.float32
    for target in ("mask", "depth", "referent"):
        assert ((done[target] > 0) == (np.arange(50) >= 25)).all()


def test_a_crop_of_mostly_one_class_is_drawn_again() -> None:
    """Class 1 is a column of 12 in 100: a single draw of 20 columns mostly meets class 0 alone or nearly so."""
    mask = np.zeros((20, 100), np.uint8)
    mask[:, 44:56] = 1
    image = np.stack([np.tile(np.arange(100, dtype=np.uint8), (20, 1))] * 3, -1)

    def shares(**options: Any) -> np.ndarray:
        found = []
        for seed in range(200):
            done = run(ClassLimitedCrop(20, 20, **options), seed, image=image, mask=mask)
            assert done["mask"].shape == (20, 20)
            assert np.array_equal(done["mask"][0], (done["image"][0, :, 0] >= 44) & (done["image"][0, :, 0] < 56))
            found.append((done["mask"] == 0).mean())
        return np.array(found)

    # of 81 places, those that hold 5 to 12 columns of class 1 are good: 23, or 28 in 100
    assert (shares(tries=1) <= 0.75).mean() == pytest.approx(23 / 81, abs=0.1)
    assert (shares() <= 0.75).mean() == pytest.approx(1 - (58 / 81) ** 10, abs=0.04)
    assert (shares(max_share=1.0) == 1).mean() == pytest.approx(50 / 81, abs=0.11)  # no limit
    assert (shares(tries=200) <= 0.75).all()


def test_pixels_that_are_not_counted_have_no_share() -> None:
    """Rows 0-9 are ignored; of rows 10-19 the first is class 3 and the others class 4, more than three quarters."""
    mask = np.full((20, 8), 255, np.uint8)
    mask[10], mask[11:] = 3, 4
    for seed in range(40):
        done = run(ClassLimitedCrop(6, 8, tries=300), seed, image=grey(20, 8), mask=mask)["mask"]
        counted = done[done != 255]
        assert 0 < max((counted == 3).sum(), (counted == 4).sum()) <= 0.75 * counted.size
        # rows 6-11, 7-12, 8-13: with class 3 and one to three rows of class 4
        assert (done == 3).any(1).argmax() in (2, 3, 4)


@pytest.mark.parametrize("value", [7, 255])
def test_where_no_crop_is_good_the_last_is_taken(value: int) -> None:
    done = run(ClassLimitedCrop(6, 8), image=grey(20, 30), mask=np.full((20, 30), value, np.uint8))
    assert done["mask"].tolist() == [[value] * 8] * 6
    assert done["image"].shape == (6, 8, 3)


def test_a_small_image_is_cropped_to_what_there_is() -> None:
    mask = np.arange(600, dtype=np.uint8).reshape(20, 30) % 9
    done = run(ClassLimitedCrop(64, 16), image=noise(20, 30), mask=mask)
    assert done["image"].shape == (20, 16, 3)
    left = next(x for x in range(15) if np.array_equal(noise(20, 30)[:, x : x + 16], done["image"]))
    assert np.array_equal(done["mask"], mask[:, left : left + 16])


def test_brightness_is_added_half_of_the_time_and_clipped() -> None:
    only = PhotometricDistortion(brightness=32, contrast=(1, 1), saturation=(1, 1), hue=0)
    changes = [int(run(only, seed, image=grey(2, 2))["image"][0, 0, 0]) - 100 for seed in range(600)]
    assert np.mean(np.array(changes) == 0) == pytest.approx(0.5 + 0.5 / 64, abs=0.06)
    assert (min(changes), max(changes)) == (-32, 32)
    assert np.std([c for c in changes if c]) == pytest.approx(64 / 12**0.5, rel=0.07)
    for value, limit in ((250, 255), (5, 0)):
        seen = {int(run(only, seed, image=grey(2, 2, value))["image"][0, 0, 0]) for seed in range(60)}
        assert limit in seen
        assert all(abs(v - value) <= 32 for v in seen)


def test_contrast_multiplies_and_masks_stay() -> None:
    twice = PhotometricDistortion(brightness=0, contrast=(1.5, 1.5), saturation=(1, 1), hue=0)
    image = np.stack([np.arange(0, 250, 10, dtype=np.uint8).reshape(5, 5)] * 3, -1)
    mask = np.arange(25, dtype=np.uint8).reshape(5, 5)
    seen = set()
    for seed in range(40):
        done = run(twice, seed, image=image, mask=mask)
        assert np.array_equal(done["mask"], mask)
        seen.add(tuple(done["image"][..., 0].reshape(-1).tolist()))
    assert seen == {tuple(range(0, 250, 10)), tuple(min(15 * i, 255) for i in range(25))}


@pytest.mark.parametrize(
    ("colour", "saturation", "hue", "expected"),
    [
        ((200, 100, 100), 0.0, None, (200, 200, 200)),  # no saturation: grey of the same value
        ((200, 150, 150), 2.0, None, (200, 100, 100)),  # 25 in 100 becomes 50 in 100
        ((200, 100, 100), 3.0, None, (200, 0, 0)),  # clipped at full saturation
        ((255, 0, 0), None, 60, (0, 255, 0)),  # a third of a turn, forwards
        ((255, 0, 0), None, -60, (0, 0, 255)),  # and backwards, from 0 to 120
        ((255, 0, 255), None, 60, (255, 255, 0)),  # from 150 past 180 to 30
        ((90, 90, 90), None, 60, (90, 90, 90)),  # grey has no hue
        ((200, 150, 150), 2.0, 60, (100, 200, 100)),
    ],
)
def test_saturation_and_hue(
    colour: tuple[int, ...], saturation: float | None, hue: int | None, expected: tuple[int, ...]
) -> None:
    done = PhotometricDistortion().apply(
        np.full((3, 4, 3), colour, np.uint8),
        brightness=None,
        contrast=None,
        contrast_first=False,
        saturation=saturation,
        hue=hue,
    )
    assert done.dtype == np.uint8
    assert np.abs(done.astype(int) - expected).max() <= 1


def test_hue_turns_both_ways_half_of_the_time() -> None:
    only = PhotometricDistortion(brightness=0, contrast=(1, 1), saturation=(1, 1), hue=18)
    red = np.full((1, 1, 3), (200, 0, 0), np.uint8)
    done = [run(only, seed, image=red)["image"] for seed in range(300)]
    hues = [int(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[0, 0, 0]) for image in done]
    turns = np.array([(h + 90) % 180 - 90 for h in hues])
    assert turns.min() == pytest.approx(-18, abs=1)
    assert turns.max() == pytest.approx(18, abs=1)
    assert np.mean(turns == 0) == pytest.approx(0.5 + 0.5 / 37, abs=0.09)


def test_contrast_comes_before_or_after_saturation() -> None:
    """Clipping tells which: contrast first makes (200, 150, 150) paler before its saturation is doubled."""
    both = PhotometricDistortion(brightness=0, contrast=(1.5, 1.5), saturation=(2, 2), hue=0)
    image = np.full((1, 1, 3), (200, 150, 150), np.uint8)
    seen = {tuple(run(both, seed, image=image)["image"][0, 0].tolist()) for seed in range(80)}
    # unchanged; contrast alone; saturation alone; contrast first; contrast last
    first = cv2.cvtColor(np.full((1, 1, 3), (255, 225, 225), np.uint8), cv2.COLOR_RGB2HSV)
    first[..., 1] *= 2
    assert seen == {
        (200, 150, 150),
        (255, 225, 225),
        (200, 100, 100),
        tuple(cv2.cvtColor(first, cv2.COLOR_HSV2RGB)[0, 0].tolist()),
        (255, 150, 150),
    }


def strip(done: dict[str, Any], untouched: int) -> np.ndarray:
    """The columns that were pasted."""
    changed = (done["image"] != untouched).any(-1)
    assert (changed == changed[0]).all()  # over the whole height
    return np.flatnonzero(changed[0])


def test_depth_is_pasted_as_bytes_that_wrap() -> None:
    """1.234 m are 1234 counts, 4 x 256 + 210; in KITTI's counts 316, 256 + 60."""
    depth = np.full((6, 50), 1.234, np.float32)
    for scale, value in ((1000.0, 210), (256.0, 60)):
        for seed in range(30):
            done = run(VerticalCutDepth(p=1.0, scale=scale), seed, image=grey(6, 50), depth=depth)
            columns = strip(done, 100)
            assert (done["image"][:, columns] == value).all()
            assert np.array_equal(columns, np.arange(columns[0], columns[-1] + 1))
            assert np.array_equal(done["depth"], depth)


def test_the_strip_shows_the_depth_below_it() -> None:
    depth = np.tile(np.arange(1, 51, dtype=np.float32) / 10, (6, 1))
    wrapped = run(VerticalCutDepth(p=1.0), 3, image=grey(6, 50, 0), depth=depth)
    columns = strip(wrapped, 0)
    assert len(columns) > 3
    assert wrapped["image"][2, columns, 1].tolist() == [100 * (c + 1) % 256 for c in columns.tolist()]
    scaled = run(VerticalCutDepth(p=1.0, wrap=False), 3, image=grey(6, 50, 0), depth=depth)
    assert scaled["image"][2, columns, 2].tolist() == [int(255 * (c + 1) / 50 + 1e-4) for c in columns.tolist()]
    with np.errstate(all="raise"):  # nothing measured: no division by the largest depth
        empty = run(VerticalCutDepth(p=1.0, wrap=False), 3, image=grey(6, 50, 9), depth=depth * 0)
    assert np.array_equal(strip(empty, 9), columns)
    assert (empty["image"][:, columns] == 0).all()


def test_the_strip_is_as_wide_as_published() -> None:
    """From a W, (1 - a) W b share wide: on average W/2 from the left and W/4 share wide."""
    starts, widths = [], []
    for seed in range(400):
        done = run(VerticalCutDepth(p=1.0), seed, image=grey(2, 400), depth=np.zeros((2, 400), np.float32))
        columns = strip(done, 100)
        starts.append(columns[0])
        widths.append(len(columns))
        assert 1 <= len(columns) <= max(1, 0.75 * (400 - columns[0]))
    assert np.mean(starts) == pytest.approx(200, abs=18)
    assert np.mean(widths) == pytest.approx(75, abs=11)
    none = run(VerticalCutDepth(share=0.0, p=1.0), image=grey(2, 400), depth=np.zeros((2, 400), np.float32))
    assert len(strip(none, 100)) == 1


def test_a_fourth_of_the_images_gets_a_strip() -> None:
    arrays = {"image": grey(2, 20), "depth": np.zeros((2, 20), np.float32)}
    cut = [len(strip(run(VerticalCutDepth(), seed, **arrays), 100)) > 0 for seed in range(600)]
    assert np.mean(cut) == pytest.approx(0.25, abs=0.055)


class Plain(PerceptionDataset):
    """One image with the ground truth it is given."""

    split = "train"

    def __init__(self, **targets: Any) -> None:
        self.targets = targets
        self.info = DatasetInfo("plain", classes=("a", "b", "c"))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return Sample("plain.jpg", grey(30, 60), self.targets)


def prepared(augment: list[Any], target: DenseTarget, values: np.ndarray) -> PreparedDataset:
    return PreparedDataset(Plain(**{target.name: values}), Preprocess(augment=augment), target)


def test_without_the_target_it_needs_it_is_a_sentence() -> None:
    with pytest.raises(
        DataError, match=r"plain\.jpg: augmentation failed: VerticalCutDepth pastes depth into the image"
    ):
        prepared([VerticalCutDepth(p=1.0)], MaskTarget(), np.zeros((30, 60), np.uint8))[Draw(0, 0)]
    with pytest.raises(
        DataError, match=r"ClassLimitedCrop looks at class masks, and these samples have none; use Random"
    ):
        prepared([ClassLimitedCrop(5, 5)], DepthTarget(), np.ones((30, 60), np.float32))[Draw(0, 0)]


def test_the_published_recipe_gives_images_of_one_size() -> None:
    """Small ratios need padding, large ones the crop; what is padded is mid-grey and not counted."""
    mask = np.zeros((30, 60), np.uint8)
    mask[:, 20:40], mask[:, 40:] = 1, 2
    recipe = [
        RandomRatioResize((256, 64)),
        ClassLimitedCrop(64, 64),
        A.HorizontalFlip(p=0.5),
        PhotometricDistortion(),
        A.PadIfNeeded(64, 64, position="top_left", fill=127, fill_mask=255),
    ]
    data, padded = prepared(recipe, MaskTarget(), mask), 0
    for seed in range(40):
        item = data[Draw(0, seed)]
        assert item.image.shape == (3, 64, 64)
        assert set(item.targets["mask"].unique().tolist()) <= {0, 1, 2, 255}
        ignored = item.targets["mask"] == 255
        padded += int(ignored.any())
        assert (item.image[:, ignored] * 255 == 127).all()
        assert not ignored[0, 0]
    assert 5 < padded < 35
