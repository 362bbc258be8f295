"""Callbacks, loggers and short runs of the configured Trainer."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from diffperc.commands.train import train_run
from diffperc.config.validate import validate
from diffperc.engine.build import build_dataset, build_task
from diffperc.engine.callbacks import CostMonitor
from diffperc.engine.metrics_file import MetricsFile
from diffperc.engine.trainer import build_trainer
from diffperc.errors import ConfigError
from tests.helpers import call_all, composed

TINY = (
    "dataset.size=[64,64]",
    "dataset.train_size=16",
    "dataset.val_size=4",
    "recipe.batch_size=4",
    "recipe.eval_batch_size=4",
    "strategy=unconditional",
    "num_workers=0",
)


def trainer_of(folder: Path, *overrides: str) -> L.Trainer:
    cfg = composed(*TINY, "trainer.accelerator=cpu", *overrides)
    validate(cfg)
    torch.manual_seed(0)
    return build_trainer(cfg, build_task(cfg, build_dataset(cfg, "val").info), folder, CostMonitor())


@pytest.mark.parametrize(
    ("task", "monitor", "mode"), [("depth", "val/rmse_m", "min"), ("segmentation", "val/miou", "max")]
)
def test_early_stopping_watches_the_tasks_metric(task: str, monitor: str, mode: str, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, f"task={task}", "callbacks=early_stopping", "callbacks.early_stopping.patience=3")
    (stopping,) = [c for c in trainer.callbacks if isinstance(c, EarlyStopping)]  # type: ignore[attr-defined]
    assert (stopping.monitor, stopping.mode, stopping.patience) == (monitor, mode, 3)


def test_a_callback_of_ones_own_is_built(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, "+callbacks.mine._target_=lightning.pytorch.callbacks.Timer")
    assert "Timer" in [type(c).__name__ for c in trainer.callbacks]  # type: ignore[attr-defined]


def test_loggers_are_chosen_together_beside_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    trainer = trainer_of(tmp_path, "logger=[tensorboard,wandb]")
    assert [type(logger) for logger in trainer.loggers] == [MetricsFile, TensorBoardLogger, WandbLogger]
    table, board, _ = trainer.loggers
    assert (Path(str(table.log_dir)), Path(str(board.log_dir))) == (tmp_path, tmp_path / "tensorboard")


def test_csv_alone_is_one_logger(tmp_path: Path) -> None:
    assert [type(logger) for logger in trainer_of(tmp_path, "logger=csv").loggers] == [MetricsFile]


def test_a_run_leaves_learning_rates_and_its_configuration(tmp_path: Path) -> None:
    short = ("recipe.steps=2", "recipe.val_every_steps=2", "trainer.log_every_n_steps=1", "trainer.accelerator=cpu")
    cfg = composed(*TINY, *short, "seed=5")
    validate(cfg)
    train_run(cfg, tmp_path, {})
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in rows[0] if name.startswith("lr-")]
    assert len(columns) == 4
    for name in columns:
        logged = [float(row[name]) for row in rows if row[name]]
        assert len(logged) == 2
        assert min(logged) > 0
        assert logged[0] != logged[1]  # both are of one epoch: the rate follows the steps
    content: Any = yaml.safe_load((tmp_path / "hparams.yaml").read_text())
    assert content["seed"] == 5
    assert content["recipe"]["steps"] == 2
    assert content["optimizer"]["lr"] == cfg.recipe.lr
    assert content["strategy"]["_target_"] == "diffperc.strategies.Unconditional"


def test_validations_are_counted_in_optimiser_steps(tmp_path: Path) -> None:
    """Of two accumulated batches each; Lightning counts batches."""
    accumulated = ("trainer.accumulate_grad_batches=2", "recipe.val_every_steps=3", "recipe.steps=6")
    assert trainer_of(tmp_path, *accumulated).val_check_interval == 6
    assert trainer_of(tmp_path, "trainer.val_check_interval=0.5", "recipe.val_every_epochs=1").val_check_interval == 0.5


def test_weights_in_float16_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer.precision: must be 'auto' or '32-true' or '16-mixed'"):
        trainer_of(tmp_path, "trainer.precision=16-true")


def test_gradients_are_clipped_in_mixed_precision(tmp_path: Path) -> None:
    """Lightning refuses that with a fused optimiser."""
    mixed = ("trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1", "trainer.accelerator=cpu")
    run = train_run(composed(*TINY, *mixed, "recipe.steps=2", "recipe.val_every_steps=2"), tmp_path / "run", {})
    assert run.summary["steps"] == 2


def test_an_average_leaves_frozen_weights_as_they_are(tmp_path: Path) -> None:
    cfg = composed(*TINY, "ema_decay=0.9", "recipe.steps=4", "recipe.val_every_steps=4", "trainer.accelerator=cpu")
    train_run(cfg, tmp_path / "run", {})
    checkpoint = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    state, current = checkpoint["state_dict"], checkpoint["current_model_state"]
    before = build_task(cfg, build_dataset(cfg, "val").info).state_dict()
    frozen = [name for name in state if ".vae." in name]
    assert len(frozen) > 10
    assert [name for name in frozen if not torch.equal(state[name], before[name])] == []
    assert [name for name in frozen if state[name].data_ptr() != current[name].data_ptr()] == []  # kept once
    learnt = [name for name in state if state[name].is_floating_point() and not torch.equal(state[name], before[name])]
    assert learnt
    assert [name for name in learnt if torch.equal(state[name], current[name])] == []


@pytest.mark.parametrize(("precision", "dtype"), [("bf16-true", torch.bfloat16), ("64-true", torch.float64)])
def test_weights_of_another_precision_train_and_are_scored_as_usual(
    precision: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    cfg = composed(*TINY, "recipe.steps=2", "recipe.val_every_steps=2", "trainer.accelerator=cpu")
    found = {}
    for chosen in ("32-true", precision):
        cfg.trainer.precision = chosen
        validate(cfg)
        found[chosen] = train_run(cfg, tmp_path / chosen, {}).metrics["val/rmse_m"]
    state = torch.load(tmp_path / precision / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert {v.dtype for k, v in state.items() if ".unet." in k and v.is_floating_point()} == {dtype}
    assert found[precision] == pytest.approx(found["32-true"], rel=0.02)


@pytest.mark.parametrize(
    "option", ["+trainer.overfit_batches=1", "trainer.limit_val_batches=1", "+trainer.fast_dev_run=true"]
)
def test_short_runs_end_without_warnings(option: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    cfg = composed(*TINY, "recipe.steps=2", "recipe.val_every_steps=2", "trainer.accelerator=cpu", option)
    validate(cfg)
    summary = train_run(cfg, tmp_path, {}).summary
    assert summary["steps"] in (1, 2)
    assert [str(w.message) for w in recwarn if "logging interval" in str(w.message)] == []


@pytest.mark.slow
def test_debugging_runs_go_to_their_end(tmp_path: Path) -> None:
    """Ten steps, one batch, two epochs of four batches, a hundred times one batch, and twenty steps with a profiler."""
    steps = {"default": 10, "fdr": 1, "limit": 8, "overfit": 100, "profiler": 20}
    jobs = [("train", [*TINY, f"debug={name}", f"hydra.run.dir={name}"]) for name in steps]
    assert [code for code, _ in call_all(jobs, tmp_path)] == [0] * len(jobs)
    for name, count in steps.items():
        summary = yaml.safe_load((tmp_path / name / "summary.json").read_text())
        assert summary["steps"] == count, name
        assert summary["metrics"]["val/rmse_m"] > 0


def test_images_at_once_are_chosen_when_the_data_are_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cfg = composed(*TINY, "trainer.accelerator=cpu", "recipe.steps=1", "images_at_once=auto", "gpu_memory=0.1")
    train_run(cfg, tmp_path, {})
    kept = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert (kept["images_at_once"], kept["trainer"]["accumulate_grad_batches"]) == (1, 4)
    assert "1 images of 64x64 per batch, 4 batches per step" in caplog.text
    assert "note: that is more than the 0.1 GB of gpu_memory, with one image at once" in caplog.text
