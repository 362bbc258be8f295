"""What a checkpoint is compared with before it is used."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from diffperc.checkpoints import check_fits
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
