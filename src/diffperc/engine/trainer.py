"""One training run, from a checked configuration to a run folder."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from diffperc.checkpoints import check_fits, read_checkpoint
from diffperc.data import PerceptionDataset
from diffperc.engine import PerceptionData
from diffperc.engine.build import build_dataset, build_task
from diffperc.engine.callbacks import Cost, Figures, PlainProgress, Rescue, RichProgress
from diffperc.errors import ConfigError
from diffperc.tasks import PerceptionTask

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float:
    """Train by the configuration; writes config, log, metrics, figures, checkpoints and ``summary.json``.

    Returns:
        The last validation's monitored metric.
    """
    quiet_lightning()
    start = time.monotonic()
    folder = Path(HydraConfig.get().runtime.output_dir)
    _let_lightning_start_processes()
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    train_set, val_set = build_dataset(cfg, "train"), build_dataset(cfg, "val")
    if cfg.ckpt_path is not None:
        check_fits(cfg.ckpt_path, read_checkpoint(cfg.ckpt_path), cfg, train_set.info)
    task = build_task(cfg, train_set.info)
    data = PerceptionData(
        train_set, val_set, cfg.recipe.batch_size, cfg.recipe.eval_batch_size, cfg.num_workers, cfg.seed
    )
    cost = Cost()
    trainer = build_trainer(cfg, task, folder, cost)
    if trainer.is_global_zero:
        OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
        log.info(
            "%s, %d training and %d validation images, %.2f M trainable of %.2f M parameters, in %s",
            train_set.info.name,
            len(train_set),
            len(val_set),
            _millions(task, trainable=True),
            _millions(task, trainable=False),
            folder,
        )
    trainer.fit(task, data, ckpt_path=cfg.ckpt_path, weights_only=True)
    if task.validated_step != trainer.global_step:
        trainer.validate(task, data, verbose=False, weights_only=True)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    trainer.save_checkpoint(checkpoint)
    metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
    if trainer.is_global_zero:
        summary = {
            "metrics": metrics,
            "classes": task.by_class,
            "baseline": type(task).baseline(train_set, val_set),
            "monitor": task.monitor[0],
            "protocol": val_set.info.protocols[task.name].name,
            "steps": trainer.global_step,
            "choices": _choices(),
            "seconds_per_step": cost.seconds_per_step,
            "peak_memory_gb": cost.peak_memory_gb,
            "trainable_parameters": round(_millions(task, trainable=True) * 1e6),
            "checkpoint": str(checkpoint),
            "command": shlex.join([Path(sys.executable).name, "-m", "diffperc.train", *sys.argv[1:]]),
            "seconds": round(time.monotonic() - start, 1),
        }
        write_json(folder / "summary.json", summary)
        report(summary, val_set, folder)
    return metrics.get(task.monitor[0], float("nan"))


def _choices() -> dict[str, str]:
    """What was chosen of the groups that tables are made of."""
    chosen = HydraConfig.get().runtime.choices
    return {group: str(chosen[group]) for group in ("task", "strategy", "dataset", "backbone", "head")}


def build_trainer(cfg: DictConfig, task: PerceptionTask, folder: Path, cost: Cost) -> L.Trainer:
    """The configured Trainer with our callbacks and loggers, which all write below `folder`."""
    metric, mode = task.monitor
    checkpoints = folder / "checkpoints"
    callbacks: list[L.Callback] = [
        ModelCheckpoint(checkpoints, "best", monitor=metric, mode=mode, save_last=True, enable_version_counter=False),
        Rescue(checkpoints),
        cost,
        Figures(folder / "figures"),
        RichProgress() if sys.stdout.isatty() else PlainProgress(),
    ]
    if cfg.ema_decay is not None:
        callbacks.append(EMAWeightAveraging(decay=cfg.ema_decay))
    loggers: list[Any] = [CSVLogger(folder, name="", version="")]
    if cfg.logger:
        loggers.append(instantiate(cfg.logger, _partial_=True)(save_dir=str(folder)))
    make = instantiate(cfg.trainer, _partial_=True, _convert_="all")
    return checked_trainer(make, callbacks=callbacks, logger=loggers, enable_progress_bar=sys.stdout.isatty())


def checked_trainer(make: Callable[..., L.Trainer], **options: Any) -> L.Trainer:
    """The Trainer that `make` gives.

    Raises:
        ConfigError: Lightning does not take the options on this machine, such as an accelerator that it does not have.
    """
    try:
        return make(**options)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise ConfigError(f"lightning.Trainer: {str(error).splitlines()[0]}") from error


def report(summary: dict[str, Any], val_set: PerceptionDataset, folder: Path) -> None:
    """Print the metrics, beside the baseline's if there is one, and where everything is."""
    table = Table(title=f"{val_set.info.name}, {len(val_set)} images, protocol {summary['protocol']}")
    for column in ("metric", "model", "baseline", "model / baseline"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for name, value in summary["metrics"].items():
        base = summary.get("baseline", {}).get(name)
        row = [f"{value:.4f}", *((f"{base:.4f}", f"{value / base:.3f}") if base else ("", ""))]
        table.add_row(name, *row)
    Console().print(table)
    if summary["classes"]:
        _print_classes(summary["classes"])
    print(f"checkpoint: {summary['checkpoint']}")
    print(f"figures:    {folder / 'figures'}")
    print(f"summary:    {folder / 'summary.json'}")


def _print_classes(classes: dict[str, dict[str, float]]) -> None:
    """Scores by class; those that do not occur, whose scores are NaN, are left out."""
    columns = list(next(iter(classes.values())))
    table = Table(title="by class")
    for column in ("class", *columns):
        table.add_column(column, justify="left" if column == "class" else "right")
    for name, scores in classes.items():
        if any(value == value for value in scores.values()):
            table.add_row(name, *(f"{scores[column]:.4f}" for column in columns))
    Console().print(table)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a json file at once or not at all."""
    unfinished = path.with_suffix(".json.part")
    unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def quiet_lightning() -> None:
    """Silence what Lightning says about choices that are ours."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # the number of loader processes is the user's choice
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # validation metrics are already reduced over all processes by torchmetrics
    warnings.filterwarnings("ignore", message=".*It is recommended to use `self.log.*sync_dist=True.*")
    # resuming may add to the folder of a former run
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    # the run folder holds config and log before the metrics
    warnings.filterwarnings("ignore", message=".*Experiment logs directory .* exists and is not empty.*")
    # the frozen VAE and CLIP are meant to be in evaluation mode
    warnings.filterwarnings("ignore", message=".*module.s. in eval mode at the start of training.*")
    # Lightning 2.6 with the newest torch; nothing of ours
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")


def _millions(task: PerceptionTask, trainable: bool) -> float:
    return sum(p.numel() for p in task.parameters() if p.requires_grad or not trainable) / 1e6


def _let_lightning_start_processes() -> None:
    """DDP starts this program again with the arguments of this process; in a sweep those are of all jobs together."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        sys.argv = [sys.argv[0], *(str(o) for o in hydra.overrides.task)]
