"""Options of single predictions, and what is said about wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from diffperc.commands.predict import predict_files, read_boxes
from diffperc.engine.build import build_dataset, build_preprocess, build_task
from diffperc.errors import ConfigError, DataError
from diffperc.tasks import PerceptionTask
from tests.helpers import composed

PHOTO = np.random.default_rng(0).integers(0, 255, (75, 130, 3), np.uint8)


def task_of(name: str) -> tuple[PerceptionTask, Any]:
    """A task with random weights, and its predictor."""
    torch.manual_seed(0)
    cfg = composed(f"task={name}", "strategy=unconditional", "dataset.size=[64,64]", "dataset.val_size=2")
    task = build_task(cfg, build_dataset(cfg, "val").info)
    return task, task.predictor(task.model, task.info, task.protocol, build_preprocess(cfg))


def test_the_mirror_image_has_the_mirrored_classes_when_both_are_averaged() -> None:
    _, predictor = task_of("segmentation")
    even = np.concatenate([PHOTO[:, :64], PHOTO[:, 63::-1]], 1)
    mask = predictor(np.ascontiguousarray(even[:64]), flip=True)
    assert (mask == mask[:, ::-1]).mean() > 0.99


def test_an_expression_is_needed_and_counts() -> None:
    _, predictor = task_of("referring")
    for nothing in (None, "", "  "):
        with pytest.raises(ConfigError, match="give one"):
            predictor(PHOTO, nothing)
    assert predictor(PHOTO, "the red cube").shape == (75, 130)


def test_boxes_are_checked_and_the_whole_image_is_one_person_without() -> None:
    _, predictor = task_of("pose")
    (whole,) = predictor(PHOTO)
    assert whole.box == (0, 0, 130, 75)
    (again,) = predictor(PHOTO, boxes=[[0, 0, 130, 75]])
    np.testing.assert_allclose(again.points, whole.points)
    for box in ([500, 5, 60, 70], [5, 5, -1, 70], [1, 2, 3], ["a", 1, 1, 1]):
        with pytest.raises(ConfigError, match="boxes: "):
            predictor(PHOTO, boxes=[box])


def test_boxes_come_from_a_list_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({"a.jpg": [[1, 2, 3, 4]]}))
    assert read_boxes(str(file)) == {"a.jpg": [[1, 2, 3, 4]]}
    assert read_boxes([[1, 2, 3, 4]]) == [[1, 2, 3, 4]]
    assert read_boxes(None) is None
    for content in ("no json", "3"):
        file.write_text(content)
        with pytest.raises(DataError, match="boxes: "):
            read_boxes(str(file))


def test_an_option_of_another_task_is_named(tmp_path: Path) -> None:
    task, _ = task_of("segmentation")
    torch.save({"state_dict": task.state_dict(), "diffperc": task.provenance}, tmp_path / "x.ckpt")
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    cfg = {"ckpt": str(tmp_path / "x.ckpt"), "input": str(tmp_path / "photo.png"), "output": str(tmp_path / "out")}
    cfg |= {"device": "cpu", "scene": "hall", "expression": None, "boxes": None, "flip": None, "caption": None}
    with pytest.raises(
        ConfigError, match=r"scene: the model of this checkpoint has no such option; it has flip, caption\."
    ):
        predict_files(OmegaConf.create(cfg))
    assert not (tmp_path / "out").exists()
    predict_files(OmegaConf.create({**cfg, "scene": None}))
    assert Image.open(tmp_path / "out/photo_mask.png").size == (130, 75)


def test_sixteen_bits_are_scaled_and_what_is_no_image_is_said() -> None:
    _, predictor = task_of("segmentation")
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    expected = np.repeat((ramp >> 8).astype(np.uint8)[..., None], 3, -1)
    assert np.array_equal(predictor.pixels(Image.fromarray(ramp)), expected)
    for wrong in (
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((4, 4), np.uint8),
        Image.fromarray(np.zeros((4, 4), np.float32)),
    ):
        with pytest.raises(DataError, match=r"^image: (must be|holds 32-bit numbers)"):
            predictor(wrong)
