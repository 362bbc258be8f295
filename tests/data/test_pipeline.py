from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from diffperc.data import Draw, PerceptionDataset, PreparedDataset, Scenes, SeededSampler, collate
from diffperc.errors import DataError
from diffperc.preprocessing import Preprocess
from diffperc.targets import DepthTarget, MaskTarget
from diffperc.types import DatasetInfo, DenseTarget, Sample
from tests.helpers import batch_of


class Ramps(PerceptionDataset):
    """The red channel is the depth in decimetres, so that the two must stay together whatever is done to them."""

    provides = ("depth", "mask")

    def __init__(self, split: Any = "train", odd: bool = False) -> None:
        self.split, self.odd = split, odd
        self.info = DatasetInfo("ramps")

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Sample:
        width = 40 + (index if self.odd else 0)
        red = (np.add.outer(np.arange(30), np.arange(width)) + index).astype(np.uint8)
        image = np.stack([red, red * 0, red * 0 + index], -1)
        targets: dict[str, Any] = {"depth": red.astype(np.float32) / 10, "mask": (red % 7).astype(np.uint8)}
        return Sample(f"ramp{index}", image, targets)


GEOMETRY = [A.HorizontalFlip(p=0.5), A.RandomCrop(height=20, width=24)]


def ramps(
    augment: Sequence[Any] = (),
    split: Any = "train",
    target: DenseTarget | None = None,
    odd: bool = False,
    **sizes: Any,
) -> PreparedDataset:
    return PreparedDataset(Ramps(split, odd), Preprocess(augment=augment, **sizes), target or DepthTarget())


def test_image_and_target_go_through_the_same_geometry() -> None:
    prepared, masks = ramps(GEOMETRY), ramps(GEOMETRY, target=MaskTarget())
    flips, corners = set(), set()
    for seed in range(20):
        item = prepared[Draw(3, seed)]
        red = item.image[0] * 255
        assert item.image.shape == (3, 20, 24)
        torch.testing.assert_close(red / 10, item.targets["depth"][0])
        assert torch.equal(masks[Draw(3, seed)].targets["mask"], red.round().long() % 7)
        flips.add(bool(red[0, 0] > red[0, 1]))
        corners.add(float(red.min()))
    assert flips == {True, False}
    assert len(corners) > 5


def test_augmentation_is_a_function_of_the_draw_alone() -> None:
    """Not of the worker, nor of what was drawn before."""
    augment = [*GEOMETRY, A.RandomBrightnessContrast(p=0.9)]
    first = ramps(augment)
    images = [first[Draw(i, 100 + i)].image for i in range(10)]
    other = ramps(augment)
    for i in reversed(range(10)):
        assert torch.equal(other[Draw(i, 100 + i)].image, images[i])
    assert not torch.equal(other[Draw(0, 5)].image, images[0])


def test_workers_change_nothing() -> None:
    def epoch(workers: int) -> list[torch.Tensor]:
        prepared = ramps(GEOMETRY)
        sampler = SeededSampler(10, seed=1, shuffle=True)
        loader = DataLoader(prepared, 5, sampler=sampler, num_workers=workers, collate_fn=collate)
        return [b.image for b in loader]

    for a, b in zip(epoch(0), epoch(2), strict=True):
        assert torch.equal(a, b)


def test_evaluation_resizes_the_image_and_leaves_the_target() -> None:
    item = ramps(GEOMETRY, "val", short_side=15)[Draw(1, 0)]
    assert item.image.shape == (3, 15, 20)
    assert item.targets["depth"].shape == (1, 30, 40)
    trained = ramps([A.SmallestMaxSize(max_size=15)], short_side=20)[Draw(1, 0)]
    assert trained.targets["depth"].shape == (1, 15, 20)
    # nearest neighbour: only depths that were there
    assert set(trained.targets["depth"].flatten().tolist()) <= set(item.targets["depth"].flatten().tolist())


def test_one_global_order_is_shared_out() -> None:
    """With equal global batch, the union of the processes' batches is the single process's batch."""
    one = SeededSampler(23, seed=4, shuffle=True)
    two = [SeededSampler(23, seed=4, shuffle=True, rank=r, world=2) for r in range(2)]
    for epoch in range(2):
        for sampler in (one, *two):
            sampler.set_epoch(epoch)
        whole, left, right = list(one), list(two[0]), list(two[1])
        assert len(left) == len(right) == len(two[0]) == 11
        for step in range(5):
            assert set(whole[4 * step : 4 * step + 4]) == set(
                left[2 * step : 2 * step + 2] + right[2 * step : 2 * step + 2]
            )
    one.set_epoch(0)
    first = list(one)
    assert sorted(d.index for d in first) == list(range(23))
    assert first != whole


def test_evaluation_sees_every_sample_once() -> None:
    parts = [SeededSampler(7, 0, shuffle=False, rank=r, world=3) for r in range(3)]
    assert [len(list(p)) for p in parts] == [len(p) for p in parts]
    assert sorted(d.index for p in parts for d in p) == list(range(7))


def test_images_of_different_sizes_cannot_share_a_batch_and_are_named() -> None:
    prepared = ramps(split="val", odd=True)
    with pytest.raises(DataError, match="ramp0 and ramp2 have different sizes"):
        collate([prepared[Draw(0, 0)], prepared[Draw(2, 0)]])


def test_scenes_are_the_same_everywhere_and_splits_differ() -> None:
    train, again = (Scenes("train", DepthTarget(), size=(48, 64)) for _ in range(2))
    val = Scenes("val", DepthTarget(), size=(48, 64))
    sample = train[5]
    assert sample.image.shape == (48, 64, 3)
    assert np.array_equal(sample.image, again[5].image)
    assert sample.caption == again[5].caption
    assert not np.array_equal(sample.image, val[5].image)
    depth = sample.targets["depth"]
    assert 0 < depth.min() <= depth.max() <= float(train.info.max_depth or 0)
    assert train.info.scenes[sample.scene].replace("_", " ") in str(sample.caption)
    masks = Scenes("train", MaskTarget(), size=(48, 64))
    assert np.array_equal(masks[5].image, sample.image)
    batch = batch_of(PreparedDataset(masks, Preprocess(), MaskTarget()), 2)
    assert batch.targets["mask"].max() < len(train.info.classes)


def test_a_target_of_another_shape_is_named() -> None:
    """The axes of a tensor are those that its kind of ground truth declares."""

    class Flat(DepthTarget):
        dims = "B h w"

    with pytest.raises(ValueError, match=r"ramp0: the target 'depth' must be \(B, h, w\), got \(1, 1, 30, 40\)"):
        ramps(target=Flat())[Draw(0, 0)]
