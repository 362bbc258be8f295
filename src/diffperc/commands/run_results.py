"""What a training leaves when it ends: the best weights, the summary, single images and the report."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig, OmegaConf

from diffperc.backbones.lora import is_adapter
from diffperc.checkpoints import read_checkpoint
from diffperc.config.differences import GROUPS, changed_keys
from diffperc.engine.callbacks import BEST
from diffperc.engine.datamodule import PerceptionData
from diffperc.errors import DataError
from diffperc.reports.cases import write_cases
from diffperc.reports.report import read_summary, write_report
from diffperc.tasks import PerceptionTask

log = logging.getLogger(__name__)
CONFIG = "config.yaml"


def complete(trainer: L.Trainer, task: PerceptionTask, data: PerceptionData, checkpoint: Path) -> None:
    """Score the last weights, if no validation did, and write the best weights, if none was as good.

    Raises:
        TrainingError: a checkpoint is not as new as it should be, because it could not be written.
    """
    if task.validated_step != trainer.global_step:
        trainer.validate(task, data, verbose=False, weights_only=True)
    best: Any = trainer.checkpoint_callback
    # without a validation while training, an older run's best would be taken for this one's
    if not best.best_model_path or best.check_monitor_top_k(trainer, trainer.callback_metrics.get(task.monitor[0])):
        trainer.save_checkpoint(checkpoint.with_name(BEST))
    io: Any = trainer.strategy.checkpoint_io
    if io.problem is not None:
        raise io.problem


def write_adapters(task: PerceptionTask, best: Path) -> None:
    """Where there are adapters, write those of the best checkpoint as a file beside it; the task has them then."""
    backbone: Any = task.model.backbone
    if not getattr(backbone, "has_lora", False):
        return
    state = read_checkpoint(best)["state_dict"]
    task.load_state_dict({name: tensor for name, tensor in state.items() if is_adapter(name)}, strict=False)
    log.info("adapters: %s", backbone.save_lora(best.parent))


def single_images(trainer: L.Trainer, task: PerceptionTask, data: PerceptionData, folder: Path, count: int) -> None:
    """Predict up to `count` validation images with the last weights, and write what a report shows of them."""
    if not count:
        return
    found: Any = trainer.predict(task, data.some_val_images(count), weights_only=True)
    cases = [case for case in found or () if case is not None]
    if trainer.is_global_zero and cases:
        write_cases(folder, cases, task.error_unit, task.against, len(data.val), task.info.classes)


def report_of(folder: Path, cfg: DictConfig | None = None) -> Path:
    """Write the report of a run, also of one that has not ended; returns its file.

    Args:
        folder: of the run.
        cfg: its configuration; None: that in the folder.
    """
    cfg = read_config(folder) if cfg is None else cfg
    return write_report(folder, changed_in(folder, cfg), OmegaConf.to_yaml(cfg))


def read_config(folder: Path) -> DictConfig:
    """The configuration of a run.

    Raises:
        DataError: it is none.
    """
    cfg = OmegaConf.load(folder / CONFIG)
    if not isinstance(cfg, DictConfig):
        raise DataError(f"{folder / CONFIG}: is no configuration of a run, as diffperc train writes one.")
    return cfg


def changed_in(folder: Path, cfg: DictConfig) -> dict[str, tuple[str, str]] | None:
    """See `changed_keys`; by the choices of the run, which may not have ended."""
    return changed_keys(cfg, read_summary(folder).get("choices") or _typed_choices(folder))


def _typed_choices(folder: Path) -> dict[str, str]:
    """The choices of a run that has not ended, from what Hydra wrote at its beginning."""
    file = folder / ".hydra" / "hydra.yaml"
    if not file.is_file():
        return {}
    found = OmegaConf.select(OmegaConf.load(file), "hydra.runtime.choices") or {}
    return {group: str(found[group]) for group in GROUPS if group in found}
