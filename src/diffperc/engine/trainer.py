"""The Lightning Trainer of a configuration, with our callbacks and loggers."""

from __future__ import annotations

import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import LearningRateMonitor
from omegaconf import DictConfig, OmegaConf

from diffperc.engine.callbacks import (
    LAST,
    BestAndLast,
    Checkpointing,
    CostMonitor,
    EndAtOnce,
    EndTogether,
    ExactResume,
    Figures,
    PlainProgress,
    RichProgress,
    StepInBackward,
    WeightAverage,
)
from diffperc.engine.checkpoint_io import AtomicCheckpointIO
from diffperc.engine.metrics_file import MetricsFile
from diffperc.engine.precision import precision_options
from diffperc.errors import ConfigError
from diffperc.tasks import PerceptionTask


def build_trainer(
    cfg: DictConfig,
    task: PerceptionTask,
    folder: Path,
    cost: CostMonitor,
    callbacks: Sequence[L.Callback] = (),
    samples: int = 0,
    from_step: int = 0,
) -> L.Trainer:
    """The configured Trainer with our callbacks and loggers, which all write below `folder`.

    Args:
        cfg: nodes ``trainer``, ``callbacks``, ``checkpoint``, ``logger``, ``ema_decay``, ``step_in_backward``.
        task: whose metric chooses the best checkpoint.
        folder: of the run.
        cost: the callback whose numbers the summary reads.
        callbacks: further ones.
        samples: of the training split.
        from_step: the optimiser step after which a run in this folder resumes.

    Raises:
        ConfigError: Lightning does not take the options on this machine.
    """
    metric, mode = task.monitor
    checkpoints = Path(os.path.realpath(folder)) / "checkpoints"
    io = AtomicCheckpointIO()
    own: list[L.Callback] = [
        BestAndLast(checkpoints, metric, mode),
        Checkpointing(
            checkpoints / LAST,
            io,
            cfg.checkpoint.every_minutes,
            cfg.checkpoint.on_failed_write,
            cfg.step_in_backward,
        ),
        ExactResume(),
        EndAtOnce(),
        EndTogether(),
        LearningRateMonitor("step"),
        cost,
        Figures(folder / "figures"),
        RichProgress() if sys.stdout.isatty() else PlainProgress(),
    ]
    if cfg.ema_decay is not None:
        own.append(WeightAverage(decay=cfg.ema_decay))
    if cfg.step_in_backward:
        own.append(StepInBackward())
    for node in filter(None, (cfg.get("callbacks") or {}).values()):
        built = instantiate(node, _convert_="all")
        # a callback with _partial_: true monitors the task's metric
        own.append(built(monitor=metric, mode=mode) if node.get("_partial_") else built)
    trainer = checked_trainer(
        _configured(cfg),
        callbacks=[*own, *callbacks],
        logger=_loggers(cfg, folder, from_step),
        enable_progress_bar=sys.stdout.isatty(),
        default_root_dir=str(checkpoints),
        **_in_batches(cfg, samples),
    )
    trainer.strategy.checkpoint_io = io
    return trainer


def _in_batches(cfg: DictConfig, samples: int) -> dict[str, Any]:
    """Options of the Trainer that it counts in batches, and the configuration in optimiser steps."""
    accumulated = cfg.trainer.accumulate_grad_batches
    epoch = max(1, samples // cfg.recipe.batch_size * accumulated)
    for limit in (cfg.trainer.get("limit_train_batches"), cfg.trainer.get("overfit_batches")):
        if type(limit) is int and limit > 0:
            epoch = min(epoch, limit)
    # a longer interval than an epoch would log nothing
    options: dict[str, Any] = {"log_every_n_steps": min(cfg.trainer.log_every_n_steps, epoch)}
    if type(cfg.trainer.val_check_interval) is int:
        interval = cfg.trainer.val_check_interval * accumulated
        options["val_check_interval"] = interval
        if interval > epoch:  # counted over epochs then
            options["check_val_every_n_epoch"] = None
    return options


def _loggers(cfg: DictConfig, folder: Path, from_step: int) -> list[Any]:
    """``metrics.csv`` always, and the configured ones."""
    loggers: list[Any] = [MetricsFile(folder, from_step)]
    for node in filter(None, (cfg.get("logger") or {}).values()):
        loggers.append(instantiate(node, _convert_="all")(save_dir=str(folder)))
    return loggers


def log_hyperparameters(trainer: L.Trainer, cfg: DictConfig) -> None:
    """Give the resolved configuration to every logger."""
    values = OmegaConf.to_container(cfg, resolve=True)
    for logger in trainer.loggers:
        logger.log_hyperparams(values)


def check_trainer(cfg: DictConfig) -> None:
    """Check that Lightning takes the options of the Trainer, before data and weights are read.

    Sets the number of accumulated batches, where `images_at_once` is a number.

    Raises:
        ConfigError: it does not take them on this machine, or a step cannot be made of such batches.
    """
    trainer = checked_trainer(_configured(cfg), logger=False, enable_progress_bar=False)
    if cfg.images_at_once in (None, "auto"):
        return
    if cfg.trainer.accumulate_grad_batches != 1:
        raise ConfigError("images_at_once and trainer.accumulate_grad_batches say the same; set one of them.")
    size, processes = cfg.recipe.batch_size, trainer.num_devices * trainer.num_nodes
    together = min(cfg.images_at_once * processes, size)
    if size % together:
        raise ConfigError(
            f"recipe.batch_size is {size} images per optimiser step, which {processes} processes x images_at_once="
            f"{cfg.images_at_once} do not divide; take a multiple of {together}, or another images_at_once."
        )
    cfg.trainer.accumulate_grad_batches = size // together


def _configured(cfg: DictConfig) -> Callable[..., L.Trainer]:
    """Lightning's Trainer with the configured options."""
    make = instantiate(cfg.trainer, _partial_=True, _convert_="all")
    return functools.partial(make, **precision_options(cfg.trainer.precision))


def checked_trainer(make: Callable[..., L.Trainer], **options: Any) -> L.Trainer:
    """The Trainer that `make` gives.

    Raises:
        ConfigError: Lightning does not take the options on this machine, such as an accelerator that it does not have.
    """
    try:
        return make(**options)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise ConfigError(f"lightning.Trainer: {str(error).splitlines()[0]}") from error


def quiet_lightning() -> None:
    """Silence Lightning's messages about choices that were made on purpose."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # the number of loader processes is the user's choice
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # validation metrics are already reduced over all processes by torchmetrics
    warnings.filterwarnings("ignore", message=".*It is recommended to use `self.log.*sync_dist=True.*")
    # a resumed run writes into the folder of the former one
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    # said by training where a run resumes in another folder
    warnings.filterwarnings("ignore", message=".*The dirpath has changed from.*")
    # the run folder holds config and log before the metrics
    warnings.filterwarnings("ignore", message=".*Experiment logs directory .* exists and is not empty.*")
    # the frozen VAE and CLIP are meant to be in evaluation mode
    warnings.filterwarnings("ignore", message=".*module.s. in eval mode at the start of training.*")
    # caused by Lightning 2.6 with the newest torch, not by this code
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
