"""What a checkpoint is compared with before it is used."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

import diffperc
from diffperc.checkpoints import check_fits, checkpoint_in, load
from diffperc.engine.build import build_dataset, build_task
from diffperc.errors import CheckpointError
from diffperc.types import DatasetInfo
from tests.helpers import composed


def test_a_class_list_of_another_length_is_refused() -> None:
    cfg = composed("task=segmentation", "strategy=vpd")
    info = DatasetInfo("rooms", classes=("floor", "wall", "chair"))
    kept = {"config": OmegaConf.to_yaml(cfg, resolve=True), "info": info.to_dict(), "architecture": "{}"}
    content = {"diffperc": kept}
    check_fits("x.ckpt", content, cfg, info)
    none = {"diffperc": {**kept, "info": {**info.to_dict(), "classes": ()}}}  # as an imported referring model has it
    check_fits("x.ckpt", none, cfg, info)
    other = DatasetInfo("streets", classes=("road", "sky"))
    with pytest.raises(
        CheckpointError, match=r"x\.ckpt: was trained on 3 classes, and the data set streets has 2; use the"
    ):
        check_fits("x.ckpt", content, cfg, other)


def test_a_checkpoint_of_an_older_version_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "old.ckpt"
    torch.save({"state_dict": {}, "diffperc": {"version": "0.1.0", "config": ""}}, file)
    with pytest.raises(CheckpointError, match=r"old\.ckpt: was written by another version of diffperc \(0\.1\.0\)"):
        load(file, "cpu")


def test_a_run_folder_gives_the_best_checkpoint_or_the_last(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    with pytest.raises(CheckpointError, match="has no checkpoint 'best'"):
        checkpoint_in(tmp_path)
    (folder / "last.ckpt").touch()
    assert checkpoint_in(tmp_path) == folder / "last.ckpt"
    (folder / "best.safetensors").touch()
    assert checkpoint_in(tmp_path) == folder / "best.safetensors"
    assert checkpoint_in(tmp_path, "last") == folder / "last.ckpt"
    assert checkpoint_in(folder / "last.ckpt") == folder / "last.ckpt"


@pytest.mark.parametrize("node", ["strategy", "head", "task.protocol", "fit", "preprocessing.augment.0"])
def test_a_class_that_is_not_here_is_a_sentence(node: str, tmp_path: Path) -> None:
    file = _saved(tmp_path / "x.ckpt", node)
    with pytest.raises(
        CheckpointError, match=rf"x\.ckpt: its {node} is mine\.Own, which cannot be imported; run this in"
    ):
        load(file, "cpu", trust=["mine"])


@pytest.mark.parametrize("node", ["optimizer", "dataset"])
def test_what_predicting_does_not_need_may_be_missing(node: str, tmp_path: Path) -> None:
    """Scoring needs the data set."""
    file = _saved(tmp_path / "x.ckpt", node)
    assert load(file, "cpu", trust=["mine"])(np.zeros((64, 64, 3), np.uint8)).mask.shape == (64, 64)
    if node == "dataset":
        with pytest.raises(CheckpointError, match=r"x\.ckpt: its dataset is mine\.Own, which cannot be imported"):
            diffperc.evaluate(file, num_workers=0, folder=tmp_path, trust=["mine"])


def _saved(file: Path, node: str) -> Path:
    """A checkpoint in whose configuration a node has a class that cannot be imported."""
    cfg = composed("task=segmentation", "strategy=unconditional", "dataset.size=[64,64]", "dataset.val_size=2")
    task = build_task(cfg, build_dataset(cfg, "val").info)
    kept = OmegaConf.create(task.provenance["config"])
    OmegaConf.select(kept, node)["_target_"] = "mine.Own"
    provenance = task.provenance | {"config": OmegaConf.to_yaml(kept)}
    torch.save({"state_dict": task.state_dict(), "diffperc": provenance}, file)
    return file


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({}, "is a file of weights, but was not written by diffperc"),
        ({"diffperc": "{"}, "what it says about its model is damaged"),
        ({"diffperc": "[" * 100_000}, "what it says about its model is damaged"),
        ({"diffperc": "[1]"}, "was not written by diffperc"),
        ({"diffperc": '{"format": 2}', "global_step": "many"}, "what it says about its model is damaged"),
        ({"diffperc": '{"format": 1}'}, "was written by another version of diffperc"),
        ({"diffperc": '{"format": 2}'}, "its part 'config' is damaged"),
        ({"diffperc": '{"format": 2, "config": "task: {_target_: os.system}"}'}, "its part 'config' is damaged"),
    ],
)
def test_weights_that_say_nothing_usable_are_a_sentence(about: dict[str, str], said: str, tmp_path: Path) -> None:
    file = tmp_path / "best.safetensors"
    save_file({"a": torch.ones(2)}, file, metadata=about)
    with pytest.raises(CheckpointError, match=re.escape(said)):
        load(file)
