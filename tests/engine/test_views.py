"""Training over stored views is the training that computes the same views in every step."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffperc.backbones import StableDiffusionBackbone
from diffperc.commands.train import train_run
from diffperc.config.validate import validate
from diffperc.data import SeededSampler
from diffperc.errors import ConfigError
from tests.helpers import composed

RUN = (
    "dataset.size=[64,64]",
    "dataset.train_size=8",
    "dataset.val_size=2",
    "recipe.batch_size=4",
    "recipe.steps=8",
    "recipe.val_every_steps=8",
    "num_workers=0",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
)


def losses(folder: Path, *overrides: str) -> list[str]:
    cfg = composed(*RUN, *overrides)
    validate(cfg)
    train_run(cfg, folder, {})
    lines = (folder / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("train/loss")
    return [line.split(",")[column] for line in lines[1:] if line.split(",")[column]]


@pytest.mark.parametrize("task", ["depth", "pose"])
def test_losses_are_the_same_and_each_view_is_encoded_once(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encoded: list[int] = []
    encode = StableDiffusionBackbone.encode

    def counted(self: StableDiffusionBackbone, image: Tensor) -> Tensor:
        if self.training:
            encoded.append(len(image))
        return encode(self, image)

    monkeypatch.setattr(StableDiffusionBackbone, "encode", counted)
    run = (f"task={task}", "strategy=vpd", "views.count=2", f"views.folder={tmp_path}")
    caplog.set_level(logging.INFO)
    stored = losses(tmp_path / "stored", *run)
    assert "has 2 views, the same in every epoch; in 4 epochs each is seen 2 times" in caplog.text
    # 8 images in 2 views; augmentation leaves some as they are, in both
    once = sum(encoded)
    assert 8 < once <= 16
    again = losses(tmp_path / "again", *run)
    assert sum(encoded) == once
    computed = losses(tmp_path / "computed", *run, "views.limit=0", f"views.folder={tmp_path / 'none'}")
    assert sum(encoded) == once + 32
    assert len(stored) == 8
    assert stored == again == computed


def test_views_follow_each_other_in_every_order(tmp_path: Path) -> None:
    sampler = SeededSampler(20, seed=3, shuffle=True, views=3)
    epochs = []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        epochs.append([(draw.index, draw.seed) for draw in sampler])
    for first, later in zip(epochs[:3], epochs[3:], strict=True):
        assert first != later
        assert sorted(first) == sorted(later)
    assert len({draw for epoch in epochs for draw in epoch}) == 60


def test_a_single_random_view_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"views\.count=1: training augments at random.*views\.count=8.*augment=\[\]"):
        losses(tmp_path / "run", "strategy=unconditional", "views.count=1")
    with pytest.raises(ConfigError, match=r"store several views \(views\.count=8\)\."):
        losses(tmp_path / "run", "task=pose", "strategy=unconditional", "views.count=1")
    assert not (tmp_path / "run").exists()
    few = ("strategy=unconditional", "views.count=1", "preprocessing.augment=[]", f"views.folder={tmp_path}")
    assert len(losses(tmp_path / "run", *few)) == 8
    assert torch.isfinite(torch.tensor([float(loss) for loss in losses(tmp_path / "again", *few)])).all()


def test_what_is_not_read_without_views_is_refused() -> None:
    for override in ("views.folder=/elsewhere", "views.limit=3"):
        with pytest.raises(ConfigError, match=r"is read only with another views\.count than null; leave it out"):
            validate(composed(override), "train", [override])
        validate(composed(override, "views.count=2"), "train", [override, "views.count=2"])
