"""Every experiment, on a small data set in its true layout: it composes, names its figure, and takes one step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from diffperc.config.find import conf_dir
from diffperc.config.validate import validate
from diffperc.data import Draw, collate
from diffperc.engine.build import build_dataset, build_task
from tests.fakes import ade20k, cityscapes, coco_pose, kitti, nyuv2, refcoco
from tests.helpers import composed, names, prepared

WRITERS = {
    module.__name__.rpartition(".")[2]: module.write_root
    for module in (ade20k, cityscapes, coco_pose, kitti, nyuv2, refcoco)
}
# of RefCOCO's three sets one is written; KITTI's few measured points would not survive the resizing to 128 pixels
SMALL = {
    "refcoco": ["dataset.name=refcoco", "dataset.split_by=null"],
    "kitti": ["preprocessing.short_side=352", "preprocessing.crop=352"],
}


@pytest.mark.parametrize("name", names("experiment"))
def test_an_experiment_names_what_was_published(name: str) -> None:
    text = " ".join((conf_dir() / f"experiment/{name}.yaml").read_text().replace("#", "").split())
    assert "Published: " in text
    assert "not reproduced here" in text
    cfg = composed(f"experiment={name}")
    validate(cfg)
    assert cfg.backbone.pretrained.startswith("stable-diffusion-v1-5/")


@pytest.mark.parametrize("name", names("experiment"))
def test_an_experiment_takes_a_step(name: str, tmp_path: Path) -> None:
    defaults = OmegaConf.load(conf_dir() / f"experiment/{name}.yaml").defaults
    chosen = {k.removeprefix("override /"): v for d in defaults if not isinstance(d, str) for k, v in d.items()}
    dataset = chosen.get("dataset", "cityscapes")  # of an experiment on top of another
    root = WRITERS[dataset](tmp_path)
    cfg = composed(f"experiment={name}", "backbone=tiny", f"dataset.root='{root}'", *SMALL.get(dataset, []))
    validate(cfg)
    torch.manual_seed(0)
    train = build_dataset(cfg, "train")
    task = build_task(cfg, train.info).train()
    data = prepared(cfg, "train", train)
    batch = collate([data[Draw(i % len(train), i)] for i in range(2)])
    assert task.optimizer_factory is not None
    optimizer, schedule = task.optimizer_factory.build(task.named_parameters(), 10)
    loss = task.total_loss(task.model(batch), batch)
    loss.backward()
    optimizer.step()
    schedule.step()
    again = task.total_loss(task.model(batch), batch)
    assert 0 < loss.item() < 100
    assert 0 < again.item() < 100
    assert again.item() != loss.item()
