"""`dataset=scenes` for every task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffperc.data import PerceptionDataset, Scenes
from diffperc.targets import DepthTarget, KeypointsTarget, MaskTarget, ReferentTarget
from diffperc.types import Target
from diffperc.types.keypoints import COCO_KEYPOINTS
from tests.contracts.dataset import DatasetContract, Splits


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def small(split: Any, target: Target) -> Scenes:
    return Scenes(split, target, size=(64, 64), train_size=6, val_size=3)


class ScenesContract(DatasetContract):
    kind = Scenes

    def make(self, split: str, root: Path) -> PerceptionDataset:
        return small(split, self.target)

    test_a_wrong_folder_is_a_sentence = None  # type: ignore[assignment]  # there is no folder


class TestDepth(ScenesContract):
    target = DepthTarget()


class TestMasks(ScenesContract):
    target = MaskTarget()


class TestReferents(ScenesContract):
    target = ReferentTarget()

    def test_the_referent_is_of_its_category(self, splits: Splits) -> None:
        for split, dataset in splits.items():
            plain = small(split, MaskTarget())
            for i in range(len(dataset)):
                sample, mask = dataset[i], plain[i].targets["mask"]
                if np.array_equal(sample.image, plain[i].image):  # not where another scene had to stand in
                    assert set(mask[sample.targets["referent"] == 1]) == {sample.category}


class TestPersons(ScenesContract):
    target = KeypointsTarget()

    def test_the_annotations_are_in_cocos_format(self, splits: Splits) -> None:
        for dataset in splits.values():
            written = dataset.keypoint_annotations()
            assert [i["id"] for i in written["images"]] == list(range(len(dataset)))
            for i, annotation in enumerate(written["annotations"]):
                person = dataset[i].person
                assert person is not None
                assert annotation["id"] == person.annotation_id > 0
                assert annotation["keypoints"] == [v for row in person.keypoints for v in row]
                assert len(annotation["keypoints"]) == 3 * len(COCO_KEYPOINTS.names)
                assert annotation["bbox"] == list(person.box)
