"""Training: one run, from a checked configuration to a run folder."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from diffperc.checkpoints import check_fits, checkpoint_in, load, newest_sound, read_checkpoint, steps_of
from diffperc.config.nodes import nodes_of, with_absolute_paths
from diffperc.config.run_folder import check_free, was_requeued
from diffperc.data.diagnostics import SaidOnce
from diffperc.engine.build import build_dataset, build_model, build_preprocess, build_protocol, build_task, task_class
from diffperc.engine.callbacks import CostMonitor
from diffperc.engine.datamodule import PerceptionData
from diffperc.engine.device import accelerator
from diffperc.engine.precision import allow_tf32, training_precision
from diffperc.engine.trainer import build_trainer, check_trainer, log_hyperparameters, quiet_lightning
from diffperc.inference.predictor import Predictor
from diffperc.inspection.examine import examine_before_training, listed, sentences_cut
from diffperc.models import LatentCache, parameter_counts
from diffperc.reports.summary import check_scores, print_summary, write_json
from diffperc.tasks import PerceptionTask

log = logging.getLogger(__name__)
GROUPS = ("task", "strategy", "dataset", "backbone", "head")
"""The groups whose choices are columns of tables of runs."""


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: configuration, log, ``metrics.csv``, figures, checkpoints, ``summary.json``.
        metrics: from the last validation, such as ``val/rmse_m``.
        summary: the content of ``summary.json``.
        trust: packages besides this one whose classes were trained.
    """

    folder: Path
    metrics: dict[str, float]
    summary: dict[str, Any]
    trust: tuple[str, ...] = ()

    def predictor(self, device: str = "auto") -> Predictor:
        """The best checkpoint as a model that predicts, see `diffperc.load`."""
        return load(self.folder, device, trust=self.trust)


def train(cfg: DictConfig) -> float:
    """Train in Hydra's run folder; returns the monitored metric, for optimising sweepers."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        # DDP starts this program again with the arguments of this process; in a sweep those belong to all jobs together
        sys.argv = [sys.argv[0], *map(str, hydra.overrides.task)]
    choices = {group: str(hydra.runtime.choices[group]) for group in GROUPS}
    command = shlex.join([Path(sys.executable).name, "-m", "diffperc.train", *sys.argv[1:]])
    folder = Path(hydra.runtime.output_dir)
    if hydra.mode == RunMode.MULTIRUN:
        score = _finished(folder, command)
        if score is not None:
            log.info("%s: is finished, and skipped", folder)
            return score
    run = train_run(cfg, folder, choices, command)
    return run.metrics.get(run.summary.get("monitor", ""), float("nan"))


def train_run(
    cfg: DictConfig,
    folder: Path,
    choices: Mapping[str, str],
    command: str = "",
    callbacks: Sequence[L.Callback] = (),
) -> Run:
    """Train; writes configuration, log, metrics, figures, checkpoints and ``summary.json`` into the folder.

    Args:
        cfg: a checked configuration.
        folder: the run folder.
        choices: the choices of `GROUPS`.
        command: the command line that repeats the run.
        callbacks: further callbacks of Lightning.
    """
    quiet_lightning()
    start = time.monotonic()
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    cfg = with_absolute_paths(cfg)
    check_trainer(cfg)
    build_protocol(cfg)
    preprocess = build_preprocess(cfg)
    resumed = _resumed(cfg, folder)
    check_free(folder, resumed)
    diagnostics = SaidOnce()
    train_set, val_set = build_dataset(cfg, "train", diagnostics), build_dataset(cfg, "val", diagnostics)
    sets = {"train": train_set, "val": val_set}
    summaries, notes = examine_before_training(sets, task_class(cfg).target)
    first_step = 0
    if resumed is not None:
        content = read_checkpoint(resumed)
        check_fits(resumed, content, cfg, train_set.info)
        first_step = steps_of(resumed, content)
    model = build_model(cfg, train_set.info)
    allow_tf32()
    device = accelerator(cfg.trainer.accelerator)
    cfg.trainer.precision = training_precision(str(cfg.trainer.precision), device, parameter_counts(model)[1])
    task = build_task(cfg, train_set.info, model=model)
    expression = task.model.expression
    if expression is not None:
        notes += sentences_cut(summaries, expression.cut, expression.length)
    data = PerceptionData(
        train_set,
        val_set,
        preprocess,
        task.target,
        task.protocol,
        cfg.recipe.batch_size,
        cfg.recipe.eval_batch_size,
        cfg.num_workers,
        cfg.seed,
    )
    task.model.keep_latents(LatentCache(int(cfg.keep_latents * 1e9)))
    cost = CostMonitor()
    trainer = build_trainer(cfg, task, folder, cost, callbacks, len(train_set), first_step)
    trainable, total = parameter_counts(task)
    if trainer.is_global_zero:
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
        log_hyperparameters(trainer, cfg)
        log.info(
            "%s, %d training and %d validation images, %.2f M trainable of %.2f M parameters, %s, in %s",
            train_set.info.name,
            len(train_set),
            len(val_set),
            trainable / 1e6,
            total / 1e6,
            cfg.trainer.precision,
            folder,
        )
        if resumed is not None:
            log.info("resuming from %s, after step %d", resumed, first_step)
            if not resumed.absolute().is_relative_to(folder.absolute()):
                log.info("best.ckpt is chosen among the validations from here on; that of the former run stays there")
        for line in listed(notes).splitlines():
            log.warning("note: %s", line)
    trainer.fit(task, data, ckpt_path=resumed, weights_only=True)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if trainer.global_step == first_step:
        log.warning(
            "note: nothing was trained: the run was finished. To train on, raise recipe.steps or recipe.epochs."
        )
        if resumed is not None and resumed.absolute() != checkpoint.absolute():
            trainer.save_checkpoint(checkpoint)
    _complete(trainer, task, data, checkpoint)
    metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
    summary: dict[str, Any] = {}
    if trainer.is_global_zero:
        summary = {
            "metrics": metrics,
            "classes": task.by_class,
            "baseline": task.baseline(train_set, val_set),
            "monitor": task.monitor[0],
            "protocol": task.protocol.name,
            "steps": trainer.global_step,
            "choices": dict(choices),
            "seconds_per_step": cost.seconds_per_step,
            "peak_memory_gb": cost.peak_memory_gb,
            "trainable_parameters": trainable,
            "checkpoint": str(checkpoint),
            "command": command,
            "seconds": round(time.monotonic() - start, 1),
        }
        write_json(folder / "summary.json", summary)
        print_summary(summary, val_set.info.name, len(val_set), folder)
    check_scores(metrics, summary.get("baseline", {}), task.monitor[0])
    return Run(folder, metrics, summary, _packages(cfg))


def _complete(trainer: L.Trainer, task: PerceptionTask, data: PerceptionData, checkpoint: Path) -> None:
    """Score the last weights, if no validation did, and write ``best.ckpt``, if none was as good.

    Raises:
        TrainingError: a checkpoint is not as new as it should be, because it could not be written.
    """
    if task.validated_step != trainer.global_step:
        trainer.validate(task, data, verbose=False, weights_only=True)
    best: Any = trainer.checkpoint_callback
    # without a validation while training, an older run's best would be taken for this one's
    if not best.best_model_path or best.check_monitor_top_k(trainer, trainer.callback_metrics.get(task.monitor[0])):
        trainer.save_checkpoint(checkpoint.with_name("best.ckpt"))
    io: Any = trainer.strategy.checkpoint_io
    if io.problem is not None:
        raise io.problem


def _finished(folder: Path, command: str) -> float | None:
    """The score of a sweep's job that ended well when the sweep was typed before; None: it is to be run."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        score, before = summary["metrics"][summary["monitor"]], summary["command"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # how a job is begun says nothing of what it is; a score that is no number is null
    is_same = [w for w in before.split() if not w.startswith("resume=")] == [
        w for w in command.split() if not w.startswith("resume=")
    ]
    return float(score) if is_same and score is not None else None


def _resumed(cfg: DictConfig, folder: Path) -> Path | None:
    """The checkpoint from which the run resumes; None: it begins anew."""
    # a job that SLURM has put into its queue again continues, whatever was typed
    if cfg.resume == "auto" or was_requeued():
        found = newest_sound(folder)
        if found is None:
            log.info("resume=auto: %s holds no checkpoint yet, the run begins", folder)
        if found is not None or cfg.ckpt is None:
            return found
    if cfg.ckpt is None:
        return None
    path = Path(str(cfg.ckpt)).expanduser()
    return (newest_sound(path) if path.is_dir() else None) or checkpoint_in(path, "last")


def _packages(cfg: DictConfig) -> tuple[str, ...]:
    """The packages besides this one and its libraries whose classes a configuration names."""
    nodes = [node for _, node in nodes_of(OmegaConf.to_container(cfg), "") if isinstance(node, dict)]
    roots = {str(node["_target_"]).partition(".")[0] for node in nodes if "_target_" in node}
    return tuple(sorted(roots - {"diffperc", "albumentations", "lightning", "torch"}))
