"""Persons without boxes: found by the network's own heat, or by a detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    DetrImageProcessor,
    ResNetConfig,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
)

from diffperc.encoders.detector import load_detector
from diffperc.engine.build import build_dataset, build_preprocess, build_task
from diffperc.errors import ConfigError, WeightsError
from diffperc.results.pose import Pose
from diffperc.tasks.pose.search import find_persons, windows
from diffperc.types.keypoints import COCO_KEYPOINTS
from tests.helpers import composed

HEIGHT, WIDTH, SHAPE = 120, 300, 4 / 3
PHOTO = np.random.default_rng(0).integers(0, 255, (75, 130, 3), np.uint8)


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of boxes (x, y, width, height)."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    tall = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0, wide) * max(0, tall)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def seeing(persons: Sequence[Sequence[float]]) -> Any:
    """A perfect network: it is as certain of the person in a window as the window is filled by that person."""
    joints = np.random.default_rng(1).uniform(0.12, 0.88, (17, 2)).astype(np.float32)

    def predict(boxes: Sequence[Sequence[float]]) -> list[Pose]:
        poses = []
        for box in boxes:
            filled = [overlap(box, person) for person in persons]
            person = persons[int(np.argmax(filled))] if persons else box
            points = np.array(person[:2]) + joints * np.array(person[2:])
            certain = np.full(17, max(filled, default=0.0), np.float32)
            poses.append(Pose(points.astype(np.float32), certain, tuple(map(float, box))))  # type: ignore[arg-type]
        return poses

    return predict


@pytest.mark.parametrize(
    "persons",
    [
        [],
        [(20, 10, 80, 105)],
        [(20, 10, 80, 105), (200, 30, 50, 65)],
        [(0, 0, 45, 60), (60, 50, 48, 64), (180, 5, 82, 110)],
    ],
    ids=["nobody", "one", "two", "three"],
)
def test_persons_are_found_by_heat(persons: list[tuple[float, ...]]) -> None:
    found = find_persons(seeing(persons), (HEIGHT, WIDTH), SHAPE, COCO_KEYPOINTS, 0.2, 0.35)
    assert len(found) == len(persons)
    for person in persons:
        assert max(overlap(person, box) for box in found) > 0.6


@pytest.mark.parametrize(("height", "width"), [(120, 300), (300, 60), (50, 50), (4000, 30)])
def test_windows_lie_in_the_image_and_cover_it(height: int, width: int) -> None:
    covered = np.zeros((height, width), bool)
    for x, y, wide, tall in windows(height, width, SHAPE)[1:]:
        assert x >= 0
        assert y >= 0
        assert x + wide <= width + 1e-6
        assert y + tall <= height + 1e-6
        covered[int(y) : int(np.ceil(y + tall)), int(x) : int(np.ceil(x + wide))] = True
    assert covered.all()


def small_detector(kind: str, folder: Path, labels: dict[int, str]) -> Path:
    """A folder of transformers with random weights."""
    torch.manual_seed(0)
    named = {"id2label": labels, "label2id": {name: index for index, name in labels.items()}, "num_queries": 20}
    if kind == "detr":
        backbone = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage2"])
        config = DetrConfig(
            use_timm_backbone=False,
            use_pretrained_backbone=False,
            backbone=None,
            backbone_config=backbone,
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            **named,
        )
        DetrForObjectDetection(config).save_pretrained(folder)
        DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 96}).save_pretrained(folder)
        return folder
    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=["stage2", "stage3", "stage4"]
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_hidden_dim=16,
        encoder_in_channels=[8, 16, 16],
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        d_model=16,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        **named,
    )
    RTDetrForObjectDetection(config).save_pretrained(folder)
    RTDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def pose_predictor() -> Any:
    torch.manual_seed(0)
    cfg = composed("task=pose", "strategy=unconditional", "dataset.size=[64,64]", "dataset.val_size=2")
    task = build_task(cfg, build_dataset(cfg, "val").info)
    return task.predictor(task.model, task.info, task.protocol, build_preprocess(cfg))


@pytest.mark.parametrize("kind", ["detr", "rtdetr"])
def test_a_detector_of_transformers_gives_the_boxes(kind: str, tmp_path: Path) -> None:
    folder = small_detector(kind, tmp_path / kind, {0: "person", 1: "dog"})
    boxes = load_detector(str(folder), "cpu")(PHOTO, 0.0)
    assert boxes
    for x, y, wide, tall in boxes:
        assert 0 <= x <= x + wide <= 130
        assert 0 <= y <= y + tall <= 75
    result = pose_predictor()(PHOTO, detector=str(folder), detector_score=0.0)
    assert [pose.box for pose in result] == boxes
    assert pose_predictor()(PHOTO, detector=str(folder), detector_score=1.0).note() == "no person found"


def test_the_heat_of_a_network_that_knows_nothing_finds_nobody() -> None:
    assert pose_predictor()(PHOTO, detector="heat").note() == "no person found"
    (whole,) = pose_predictor()(PHOTO)
    assert whole.box == (0, 0, 130, 75)


def test_what_would_not_be_read_is_refused() -> None:
    with pytest.raises(ConfigError, match="detector: is not read where boxes are given"):
        pose_predictor()(PHOTO, boxes=[[0, 0, 50, 50]], detector="heat")
    with pytest.raises(ConfigError, match="detector_score: is of a detector, and none is given"):
        pose_predictor()(PHOTO, detector_score=0.5)


def test_wrong_detectors_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="detector: "):
        load_detector(str(tmp_path / "gone"), "cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="its image processor cannot be loaded"):
        load_detector(str(tmp_path / "empty"), "cpu")
    folder = small_detector("detr", tmp_path / "cats", {0: "cat", 1: "dog"})
    with pytest.raises(ConfigError, match="none of its 2 labels is 'person'; it has cat, dog"):
        load_detector(str(folder), "cpu")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="cats: cannot be loaded"):
        load_detector(str(folder), "cpu")
    with pytest.raises(ConfigError, match="detector_score: must be a number from 0 to 1, found 2"):
        pose_predictor()(PHOTO, detector="heat", detector_score=2)
