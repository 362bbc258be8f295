from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from diffperc.preprocessing import PersonCrop
from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.pose import PoseResult, PoseTask
from diffperc.tasks.pose.predictor import keypoints_in_image
from diffperc.types import Batch, Person, Sample, SampleMeta
from diffperc.types.keypoints import COCO_KEYPOINTS
from tests.contracts.task import TaskContract


class TestPose(TaskContract):
    name = "pose"
    best = {"ap": 1.0, "ap50": 1.0, "ar": 1.0, "pck": 1.0}  # noqa: RUF012

    evaluated = ("preprocessing.person_crop.padding=1.6",)

    def as_predicted(self, task: PerceptionTask, dense: Tensor, batch: Batch) -> Tensor:
        points, confidence = keypoints_in_image(dense, batch, task.protocol.blur)
        return torch.cat([points[0], confidence[0][:, None]], 1)

    def comparable(self, result: PoseResult) -> np.ndarray:
        return np.column_stack([result[0].points, result[0].confidence])

    def perfect(self, batch: Batch) -> Tensor:
        return batch.targets["heatmap"]

    def test_a_shifted_prediction_does_not(self, task, batch, dataset) -> None:  # type: ignore[no-untyped-def]
        """Three cells of four pixels are less than PCK's radius and less than what AP50 forgives."""
        values = self.scored(task, self.perfect(batch).roll(9, -1), batch, dataset)
        assert all(values[name] < 0.9 for name in self.best)

    def test_unlabelled_keypoints_do_not_count(self, task: PoseTask, batch: Batch) -> None:
        weight = batch.targets["heatmap_weight"].clone()
        weight[:, 3] = 0
        without = dataclasses.replace(batch, targets={**batch.targets, "heatmap_weight": weight})
        wrong = batch.targets["heatmap"].clone()
        wrong[:, 3] += 5
        assert task.loss(wrong, without) == 0


def test_points_go_back_to_the_image() -> None:
    """Crop, heatmap, sub-pixel maximum and back: within a tenth of a pixel."""
    rng = np.random.default_rng(0)
    points = tuple((float(x), float(y), 2.0) for x, y in rng.uniform((60, 50), (160, 250), (17, 2)))
    person = Person((50.0, 40.0, 120.0, 220.0), points)
    crop = PersonCrop((256, 192))
    done = crop(Sample("x", np.zeros((300, 220, 3), np.uint8), person=person), COCO_KEYPOINTS, None)
    batch = Batch(torch.zeros(1, 3, 256, 192), meta=(SampleMeta("x", (300, 220), person, done.matrix),))
    found, confidence = keypoints_in_image(torch.from_numpy(done.heatmap)[None], batch, blur=11)
    assert np.abs(found[0].numpy() - np.array(points)[:, :2]).max() < 0.1
    assert confidence.min() > 0.8
