"""Results as objects: numbers, confidence, drawings, files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from diffperc.engine.build import build_dataset, build_preprocess, build_task
from diffperc.results.pose import Pose, PoseResult
from diffperc.results.referring import ReferringResult
from diffperc.results.segmentation import SegmentationResult
from diffperc.types import Prediction
from diffperc.types.keypoints import COCO_KEYPOINTS
from tests.helpers import composed, names

PHOTO = np.random.default_rng(0).integers(0, 255, (75, 130, 3), np.uint8)


def predictor_of(name: str, *overrides: str) -> Any:
    """Of a task with random weights."""
    torch.manual_seed(0)
    cfg = composed(f"task={name}", "strategy=vpd", "dataset.size=[64,64]", "dataset.val_size=2", *overrides)
    task = build_task(cfg, build_dataset(cfg, "val").info)
    return task.predictor(task.model, task.info, task.protocol, build_preprocess(cfg))


@pytest.mark.parametrize("name", names("task"))
def test_every_task_gives_an_array_a_confidence_a_picture_and_files(name: str, tmp_path: Path) -> None:
    predictor = predictor_of(name)
    options = {"referring": {"expression": "the cup"}, "pose": {"boxes": [[0, 0, 130, 75]]}}
    result = predictor(PHOTO, **options.get(name, {}))
    assert isinstance(result, predictor.result)
    array = np.asarray(result)
    assert array is not None
    assert np.array_equal(array, getattr(result, result.main))
    assert result.confidence.shape == ((1, 17) if name == "pose" else (75, 130))
    assert result.confidence.min() >= 0
    assert result.confidence.max() <= 1
    assert result.drawing().shape == PHOTO.shape
    picture = result.picture()
    assert np.array_equal(picture[:75, :130], result.drawing())
    shown = np.asarray(Image.open(io.BytesIO(result._repr_png_())))
    assert np.array_equal(shown, result.picture(320))
    assert isinstance(result.figure(), Figure)
    written = result.save(tmp_path / "new", "photo")
    assert sorted(file.name for file in written) == sorted(f"photo{ending}" for ending in result.endings)
    assert all(file.is_file() for file in written)
    assert result.summary in repr(result)


def segmented(probabilities: list[float]) -> SegmentationResult:
    """A 2 x 2 image in which every pixel has these probabilities."""
    p = np.array(probabilities, np.float16)[:, None, None].repeat(2, 1).repeat(2, 2)
    return SegmentationResult(PHOTO[:2, :2], p.argmax(0).astype(np.uint8), p, [f"c{i}" for i in range(len(p))])


@pytest.mark.parametrize(
    ("probabilities", "confidence"),
    [([0.25] * 4, 0.0), ([1.0, 0, 0, 0], 1.0), ([0.5, 0.5, 0, 0], 0.5)],
)
def test_confidence_is_one_less_the_entropy(probabilities: list[float], confidence: float) -> None:
    np.testing.assert_allclose(segmented(probabilities).confidence, confidence, atol=2e-3)


def test_classes_are_named_by_area() -> None:
    mask = np.array([[0, 2, 2, 2], [0, 1, 2, 2]], np.uint8)
    result = SegmentationResult(PHOTO[:2, :4], mask, np.zeros((3, 2, 4), np.float16), ("wall", "cup", "sky"))
    assert list(result.shares.items()) == [("sky", 0.625), ("wall", 0.25), ("cup", 0.125)]
    assert [label for label, _ in result.key()] == ["sky 62%", "wall 25%", "cup 12%"]


def test_nothing_found_is_written_below_the_picture() -> None:
    nothing = np.zeros((75, 130), bool)
    result = ReferringResult(PHOTO, nothing, nothing.astype(np.float32), "the red sofa")
    assert result.note() == "nothing found for “the red sofa”"
    assert result.picture().shape[0] > 75
    nobody = PoseResult(PHOTO, [], COCO_KEYPOINTS, 0.2)
    assert nobody.note() == "no person found"
    assert nobody.summary == "0 persons"
    assert np.asarray(nobody).shape == (0, 17, 3)


def test_poses_are_a_sequence() -> None:
    pose = Pose(np.ones((17, 2), np.float32), np.full(17, 0.5, np.float32), (1.0, 2.0, 30.0, 40.0))
    result = PoseResult(PHOTO, [pose, pose], COCO_KEYPOINTS, 0.2)
    assert len(result) == 2
    assert result[1] is pose
    assert [each.box for each in result] == [pose.box] * 2
    assert result.keypoints.shape == (2, 17, 2)
    np.testing.assert_array_equal(result.boxes[0], [1, 2, 30, 40])


@pytest.mark.parametrize(("name", "value"), [("depth", 2.0), ("normals", 1.0)])
def test_a_model_whose_views_agree_is_certain_and_one_that_looks_at_the_side_is_not(name: str, value: float) -> None:
    predictor = predictor_of(name)
    channels = 1 if name == "depth" else 3

    class Constant(torch.nn.Module):
        pixels_at_once = 0

        def __init__(self, sided: bool) -> None:
            super().__init__()
            self.weight, self.sided = torch.nn.Parameter(torch.zeros(1)), sided

        def forward(self, batch: Any) -> Prediction:
            height, width = batch.size
            dense = torch.full((1, channels, height, width), value)
            if name == "normals":
                dense[:, :2] = 0.0
            if self.sided:  # what is left in the image is seen differently, also in the mirror image
                dense[:, -1, :, : width // 4] *= 3 if name == "depth" else 0
                dense[:, 0, :, : width // 4] += 1
            return Prediction(dense)

    predictor.model = Constant(sided=False)
    np.testing.assert_allclose(predictor(PHOTO).confidence, 1, atol=1e-5)
    predictor.model = Constant(sided=True)
    confidence = predictor(PHOTO).confidence
    assert confidence[:, 10].max() < 0.8
    np.testing.assert_allclose(confidence[:, 65], 1, atol=1e-5)


def test_attention_and_features_by_name() -> None:
    predictor = predictor_of("segmentation")
    attention = predictor.attention(PHOTO)
    assert list(attention) == [8, 16, 32]
    assert list(attention[8]) == list(predictor.info.classes)
    height, width = predictor.preprocess.evaluation_size(75, 130)[0]
    for stride, maps in attention.items():
        total = np.sum(list(maps.values()), 0)
        assert total.shape == (-(-height // stride), -(-width // stride))
        np.testing.assert_allclose(total, 1, atol=1e-4)  # probabilities over the tokens
    features = predictor.features(PHOTO)
    assert list(features) == [8, 16, 32, 64]
    batch, seen = predictor.observe(PHOTO)
    with torch.inference_mode():
        np.testing.assert_allclose(seen.dense[-1].numpy(), predictor.dense(batch).numpy(), atol=1e-5)


def test_the_words_of_a_sentence_have_a_map_each() -> None:
    predictor = predictor_of("referring")
    maps = predictor.attention(PHOTO, expression="the red sofa by the red xylophone")[8]
    assert list(maps) == ["(start)", "the", "red", "sofa", "by", "the (2)", "red (2)", "xylophone", "(end)"]


def test_a_token_that_says_nothing_changes_the_result_and_the_backbone_stays_as_it_is() -> None:
    predictor = predictor_of("segmentation")
    _, seen = predictor.observe(PHOTO)
    _, without = predictor.observe(PHOTO, without=[0])
    _, again = predictor.observe(PHOTO)
    assert not torch.equal(seen.dense[-1], without.dense[-1])
    assert torch.equal(seen.dense[-1], again.dense[-1])


def test_every_pass_of_the_refinement_is_seen() -> None:
    predictor = predictor_of("depth", "strategy=meta_prompts", "strategy.steps=3")
    batch, seen = predictor.observe(PHOTO)
    assert len(seen.dense) == len(seen.passes) == 3
    with torch.inference_mode():
        torch.testing.assert_close(seen.dense[-1], predictor.dense(batch))
    assert seen.names[0] == "prompt 1"
    assert len(seen.names) == seen.passes[0].conditioning.tokens.shape[1]
