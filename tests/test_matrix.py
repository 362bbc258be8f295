"""Every task with every strategy, from the yaml files: a new yaml of either is tested without a new line here."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from diffperc.checkpoints import load_task
from diffperc.config.validate import validate
from diffperc.data import PreparedDataset
from diffperc.engine.build import build_task
from diffperc.tasks import PerceptionTask
from tests.helpers import batch_of, composed, names, one, prepared

PAIRS = list(itertools.product(names("task"), names("strategy")))
SMALL = ("dataset.size=[64,64]", "dataset.train_size=8", "dataset.val_size=4", "recipe.steps=3")
Built = tuple[DictConfig, PerceptionTask, dict[str, PreparedDataset]]


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def built(request: pytest.FixtureRequest) -> Built:
    """The configuration, the task, and both splits."""
    task, strategy = request.param
    cfg = composed(f"task={task}", f"strategy={strategy}", "backbone=tiny", *SMALL)
    validate(cfg)
    torch.manual_seed(0)
    sets = {split: prepared(cfg, split) for split in ("train", "val")}
    return cfg, build_task(cfg, sets["train"].dataset.info), sets


def test_one_training_step_reaches_every_trainable_parameter(built: Built) -> None:
    """Every one has a gradient, so DDP needs no `find_unused_parameters`, and the step changes what is trained only."""
    _, task, sets = built
    batch = batch_of(sets["train"], 3)
    task.train()
    assert task.optimizer_factory is not None
    optimizer, _ = task.optimizer_factory.build(task.named_parameters(), 10)
    loss = task.total_loss(task.model(batch), batch)
    loss.backward()
    trainable = {n: p for n, p in task.named_parameters() if p.requires_grad}
    assert not [n for n, p in trainable.items() if p.grad is None or not p.grad.abs().max() > 0]
    before = {n: p.detach().clone() for n, p in task.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = 1e-3  # the schedule starts at nearly nothing
    optimizer.step()
    changed = {n for n, p in task.named_parameters() if not torch.equal(p, before[n])}
    assert changed == set(trainable)
    task.zero_grad()


def test_evaluation_is_deterministic_and_scores(built: Built) -> None:
    _, task, sets = built
    batch = batch_of(sets["val"], 3)
    task.eval()
    task.prepare_scores(sets["val"].dataset)
    with torch.no_grad():
        first, again = task.predict_batch(batch), task.predict_batch(batch)
        task.score(first, batch)
        values = {k: float(v) for k, v in task.scores.compute().items()}
        picture = task.figure(batch, first, 0)
    task.scores.reset()
    assert torch.equal(first, again)
    assert task.monitor[0].removeprefix("val/") in values
    assert all(v >= 0 or v != v for v in values.values())
    assert picture.shape[2] == 3
    assert picture.std() > 10


def test_a_sample_does_not_depend_on_its_batch_mates(built: Built) -> None:
    _, task, sets = built
    batch = batch_of(sets["val"], 3)
    task.eval()
    with torch.no_grad():
        together = task.model(batch).dense
        alone = task.model(one(batch, 1)).dense
    torch.testing.assert_close(alone, together[1:2], rtol=1e-3, atol=1e-4 * float(together.abs().max()))


def test_a_checkpoint_gives_the_same_prediction(built: Built, tmp_path: Path) -> None:
    """From weights and configuration alone: tensors bit for bit; sums round otherwise where memory is aligned otherwise."""
    _, task, sets = built
    batch = batch_of(sets["val"], 3)
    torch.save({"state_dict": task.state_dict(), "diffperc": task.provenance}, tmp_path / "x.ckpt")
    again, _ = load_task(tmp_path / "x.ckpt")
    expected, found = task.state_dict(), again.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[k], v) for k, v in expected.items())
    assert again.info == task.info
    with torch.no_grad():
        dense = task.eval().model(batch).dense
        torch.testing.assert_close(again.model(batch).dense, dense, rtol=1e-5, atol=1e-5 * float(dense.abs().max()))
