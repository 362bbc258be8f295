"""What every data set must do, on a small one in its true layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from diffperc.data import PerceptionDataset, PreparedDataset
from diffperc.errors import DataError
from diffperc.preprocessing import PersonCrop, Preprocess
from diffperc.types import DatasetInfo, DenseTarget, Target
from tests.helpers import batch_of

Splits = dict[str, PerceptionDataset]


class DatasetContract:
    """Attributes: the class, the ground truth it is asked for, further arguments. The test module's `root` is its folder."""

    kind: ClassVar[type[PerceptionDataset]]
    target: ClassVar[Target]
    options: ClassVar[dict[str, Any]] = {}

    def make(self, split: str, root: Path) -> PerceptionDataset:
        asked = {"target": self.target} if self.kind.any_target else {}
        return self.kind(split, root=str(root), **asked, **self.options)  # type: ignore[call-arg]

    @pytest.fixture
    def splits(self, root: Path) -> Splits:
        return {split: self.make(split, root) for split in ("train", "val")}

    def test_samples_carry_what_was_asked_for(self, splits: Splits) -> None:
        for dataset in splits.values():
            assert self.kind.offers(self.target)
            assert len(dataset) > 0
            for i in range(len(dataset)):
                sample = dataset[i]
                assert sample.image.dtype == np.uint8
                assert sample.image.ndim == 3
                assert set(sample.targets) == ({self.target.name} if isinstance(self.target, DenseTarget) else set())
                assert (sample.person is not None) == (self.target.sample == "person")

    def test_targets_fit_the_image_and_the_info(self, splits: Splits) -> None:
        for dataset in splits.values():
            info = dataset.info
            for i in range(len(dataset)):
                sample = dataset[i]
                for values in sample.targets.values():
                    assert values.shape == sample.image.shape[:2]
                    assert np.array_equal(dataset.target(i), values)
                if "depth" in sample.targets:
                    assert np.isfinite(sample.targets["depth"]).all()
                    assert sample.targets["depth"].min() >= 0
                if "mask" in sample.targets:
                    assert set(np.unique(sample.targets["mask"])) <= {*range(len(info.classes)), info.ignore_index}
                if "referent" in sample.targets:
                    assert set(np.unique(sample.targets["referent"])) == {0, 1}
                    assert sample.expressions
                    assert -1 <= sample.category < len(info.classes)
                    assert dataset.split == "train" or len(sample.expressions) == 1
                if sample.person is not None and info.keypoints is not None:
                    assert len(sample.person.keypoints) == len(info.keypoints.names)
                    assert min(sample.person.box[2:]) > 0
                assert -1 <= sample.scene < max(1, len(info.scenes))

    def test_a_sample_is_the_same_every_time(self, splits: Splits, root: Path) -> None:
        for split, dataset in splits.items():
            again = self.make(split, root)
            assert len(again) == len(dataset)
            first, second = dataset[len(dataset) - 1], again[len(dataset) - 1]
            assert first.path == second.path
            assert np.array_equal(first.image, second.image)
            assert first.person == second.person

    def test_training_and_validation_share_nothing(self, splits: Splits) -> None:
        train, val = ({dataset[i].path for i in range(len(dataset))} for dataset in splits.values())
        assert not train & val

    def test_it_becomes_a_batch(self, splits: Splits) -> None:
        person = self.target.sample == "person"
        preprocess = Preprocess(person_crop=PersonCrop((64, 64))) if person else Preprocess()
        for dataset in splits.values():
            batch = batch_of(PreparedDataset(dataset, preprocess, self.target))
            assert batch.image.dtype == torch.float32
            assert 0 <= batch.image.min() <= batch.image.max() <= 1
            assert batch.targets
            assert batch.meta[0].path == dataset[0].path

    def test_its_info_survives_plain_values(self, splits: Splits) -> None:
        info = splits["val"].info
        assert DatasetInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info

    def test_a_wrong_folder_is_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"there is no folder '.*nowhere'. Set dataset.root="):
            self.make("train", tmp_path / "nowhere")
