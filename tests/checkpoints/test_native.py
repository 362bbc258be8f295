"""What a checkpoint is compared with before it is used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from diffperc.checkpoints import check_fits, checkpoint_in, load
from diffperc.errors import CheckpointError
from diffperc.types import DatasetInfo
from tests.helpers import composed


def test_a_class_list_of_another_length_is_refused() -> None:
    cfg = composed("task=segmentation", "strategy=vpd")
    info = DatasetInfo("rooms", classes=("floor", "wall", "chair"))
    content = {"diffperc": {"config": OmegaConf.to_yaml(cfg), "info": info.to_dict()}}
    check_fits("x.ckpt", content, cfg, info)
    none = OmegaConf.create(content)
    none.diffperc.info.classes = []  # as an imported referring model has it
    check_fits("x.ckpt", OmegaConf.to_container(none), cfg, info)  # type: ignore[arg-type]
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
    with pytest.raises(CheckpointError, match=r"has no checkpoints/best\.ckpt"):
        checkpoint_in(tmp_path)
    (folder / "last.ckpt").touch()
    assert checkpoint_in(tmp_path) == folder / "last.ckpt"
    (folder / "best.ckpt").touch()
    assert checkpoint_in(tmp_path) == folder / "best.ckpt"
    assert checkpoint_in(tmp_path, "last") == folder / "last.ckpt"
    assert checkpoint_in(folder / "last.ckpt") == folder / "last.ckpt"
