"""What the stages share: the training loop, which resumes where it was stopped, and the configs of the small model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from diffperc.engine.callbacks import PlainProgress, RichProgress
from diffperc.engine.device import find_device, trainer_options
from diffperc.engine.precision import training_precision
from diffperc.engine.trainer import checked_trainer
from diffperc.weights.architecture import config_folder

_LOG_EVERY = 20  # steps


def fit_stage(
    cfg: DictConfig, out: Path, name: str, module: L.LightningModule, train: Any, test: Any
) -> dict[str, float]:
    """Train the module of a stage up to the stage's number of steps, from its last checkpoint where there is one.

    Args:
        cfg: the whole config; the stage's part is the one that `name` starts with.
        out: the folder of the run; checkpoints and curves go to ``stages/<name>`` in it.
        name: of the stage, with a suffix where one stage trains two modules (``unet_control``).
        module: afterwards has the trained weights, averaged over the steps where the stage sets ``ema``.
        train: data set to train on.
        test: data set to test on.

    Returns:
        The metrics of the last validation.
    """
    stage = cfg[name.partition("_")[0]]
    folder = out / "stages" / name
    batches = DataLoader(train, stage.batch_size, shuffle=True, drop_last=True, num_workers=cfg.num_workers)
    trainer = _trainer(cfg.device, stage, folder, len(batches))
    validation = DataLoader(test, 64)
    last = folder / "last.ckpt"
    state = torch.load(last, weights_only=True) if last.is_file() else None
    if state is not None and state["global_step"] >= stage.steps:
        # fit would return at once, with the weights as they were before they were averaged
        module.load_state_dict(state["state_dict"])
    else:
        resumed = str(last) if state is not None else None
        trainer.fit(module, batches, validation, ckpt_path=resumed, weights_only=True)
    trainer.validate(module, validation, verbose=False)
    return {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}


def tiny_config(part: str) -> dict[str, Any]:
    """The config of a part of the packaged small model, such as ``unet``."""
    content: dict[str, Any] = json.loads((config_folder("tiny") / part / "config.json").read_text(encoding="utf-8"))
    return content


def _trainer(device: str, stage: DictConfig, folder: Path, epoch: int) -> L.Trainer:
    place = find_device(device)
    return checked_trainer(
        L.Trainer,
        **trainer_options(place),
        precision=training_precision(str(stage.precision), place),
        max_steps=stage.steps,
        val_check_interval=stage.validate_every,
        check_val_every_n_epoch=None,
        callbacks=_callbacks(stage, folder),
        logger=CSVLogger(folder, name="curves"),  # one table per start or resumption of the stage
        log_every_n_steps=max(1, min(_LOG_EVERY, epoch)),
        num_sanity_val_steps=0,
        enable_progress_bar=sys.stdout.isatty(),
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )


def _callbacks(stage: DictConfig, folder: Path) -> list[Callback]:
    checkpoint = ModelCheckpoint(
        folder, "step", every_n_train_steps=stage.keep_every, save_last=True, enable_version_counter=False
    )
    progress = RichProgress() if sys.stdout.isatty() else PlainProgress(30.0)
    callbacks: list[Callback] = [checkpoint, progress]
    if stage.get("ema") is not None:
        callbacks.append(EMAWeightAveraging(decay=stage.ema))
    return callbacks
