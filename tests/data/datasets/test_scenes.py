"""`dataset=scenes` for every task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffperc.data import PerceptionDataset, Scenes
from diffperc.preprocessing import PersonCrop
from diffperc.types.keypoints import COCO_KEYPOINTS
from tests.contracts.dataset import DatasetContract, Splits


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


class ScenesContract(DatasetContract):
    kind = Scenes

    def make(self, split: str, root: Path) -> PerceptionDataset:
        small = {"size": (64, 64), "train_size": 6, "val_size": 3, "person_crop": PersonCrop((64, 64))}
        return Scenes(split, protocols={}, needs=self.needs, **small)  # type: ignore[arg-type]

    test_a_wrong_folder_is_a_sentence = None  # type: ignore[assignment]  # there is no folder


class TestDepthAndMasks(ScenesContract):
    needs = ("depth", "mask")


class TestReferents(ScenesContract):
    needs = ("expression",)

    def test_the_referent_is_of_its_category(self, splits: Splits) -> None:
        for split, dataset in splits.items():
            plain = Scenes(split, protocols={}, size=(64, 64), train_size=6, val_size=3, needs=("mask",))  # type: ignore[arg-type]
            for i in range(len(dataset)):
                sample, mask = dataset[i], plain[i].mask
                assert sample.referent is not None
                assert mask is not None
                if np.array_equal(sample.image, plain[i].image):  # not where another scene had to stand in
                    assert set(mask[sample.referent == 1]) == {sample.category}


class TestPersons(ScenesContract):
    needs = ("keypoints",)

    def test_the_truth_is_in_cocos_format(self, splits: Splits) -> None:
        for dataset in splits.values():
            truth = dataset.keypoint_truth()
            assert [i["id"] for i in truth["images"]] == list(range(len(dataset)))
            for i, annotation in enumerate(truth["annotations"]):
                person = dataset[i].person
                assert person is not None
                assert annotation["id"] == person.annotation_id > 0
                assert annotation["keypoints"] == [v for row in person.keypoints for v in row]
                assert len(annotation["keypoints"]) == 3 * len(COCO_KEYPOINTS.names)
                assert annotation["bbox"] == list(person.box)
