"""Training: one run, from a checked configuration to a run folder."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from diffperc.checkpoints import check_fits, load, read_checkpoint, steps_of
from diffperc.commands.estimate import Estimate, described, estimated
from diffperc.commands.former_runs import finished, resumed_from
from diffperc.commands.run_results import complete, report_of, single_images, write_adapters
from diffperc.config.differences import GROUPS
from diffperc.config.nodes import nodes_of, with_absolute_paths
from diffperc.config.run_folder import check_free
from diffperc.cost.measure import resident_bytes
from diffperc.data import PerceptionDataset
from diffperc.data.diagnostics import SaidOnce
from diffperc.engine.build import (
    build_dataset,
    build_model,
    build_preprocess,
    build_protocol,
    build_task,
    task_class,
)
from diffperc.engine.callbacks import BEST, CostMonitor
from diffperc.engine.datamodule import PerceptionData
from diffperc.engine.device import accelerator, compile_network
from diffperc.engine.precision import LARGE, allow_tf32, training_precision
from diffperc.engine.trainer import build_trainer, check_trainer, log_hyperparameters, quiet_lightning
from diffperc.engine.views import check_views, described_views, stored_latents
from diffperc.errors import ConfigError
from diffperc.inference.predictor import Predictor
from diffperc.inspection.examine import examine_before_training, listed, sentences_cut
from diffperc.models import LatentsInMemory, parameter_counts
from diffperc.reports.environment import environment
from diffperc.reports.summary import check_scores, print_summary, write_json
from diffperc.tasks import PerceptionTask

log = logging.getLogger(__name__)


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
        score = finished(folder, command)
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
    start, libraries = time.monotonic(), resident_bytes()
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    cfg = with_absolute_paths(cfg)
    check_trainer(cfg)
    build_protocol(cfg)
    preprocess = build_preprocess(cfg)
    check_views(cfg, preprocess)
    resumed = resumed_from(cfg, folder)
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
        cfg.views.count,
    )
    task.model.keep_latents(LatentsInMemory(int(cfg.keep_latents * 1e9)), stored_latents(cfg, len(train_set)))
    cost = CostMonitor()
    needs = None
    if cfg.images_at_once == "auto" or parameter_counts(model)[1] >= LARGE:
        needs = _estimate(cfg, train_set, device, libraries)
    if cfg.images_at_once == "auto" and needs is not None:
        cfg.images_at_once = needs.batch
        check_trainer(cfg)
    trainer = build_trainer(cfg, task, folder, cost, callbacks, len(train_set), first_step)
    if cfg.compile:
        compile_network(task.model, device)
    if trainer.is_global_zero:
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
        log_hyperparameters(trainer, cfg)
        _announce(data, task, cfg, folder)
        for line in [*described_views(cfg, len(train_set)), *([] if needs is None else described(needs, cfg))]:
            log.info("%s", line)
        if resumed is not None:
            log.info("resuming from %s, after step %d", resumed, first_step)
            if not resumed.absolute().is_relative_to(folder.absolute()):
                log.info(
                    "the best weights are chosen among the validations from here on; that of the former run stays there"
                )
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
    complete(trainer, task, data, checkpoint)
    metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
    summary: dict[str, Any] = {}
    if trainer.is_global_zero:
        summary = {
            "metrics": metrics,
            "classes": task.by_class,
            "baseline": task.baseline(train_set, val_set),
            "monitor": task.monitor[0],
            "direction": task.monitor[1],
            "protocol": task.protocol.name,
            "steps": trainer.global_step,
            "choices": dict(choices),
            "seconds_per_step": cost.seconds_per_step,
            "peak_memory_gb": cost.peak_memory_gb,
            "estimated_memory_gb": None if needs is None else needs.peak / 1e9,
            "trainable_parameters": parameter_counts(task)[0],
            "checkpoint": str(checkpoint),
            "command": command,
            "seconds": round(time.monotonic() - start, 1),
            "notes": notes,
            "environment": environment(),
        }
        write_json(folder / "summary.json", summary)
        if needs is not None:
            log.info("peak memory %.2f GB, estimated %.2f GB", cost.peak_memory_gb, needs.peak / 1e9)
    single_images(trainer, task, data, folder, cfg.report_images)
    if trainer.is_global_zero:
        report_of(folder, cfg)
        write_adapters(task, checkpoint.with_name(BEST))
        print_summary(summary, val_set.info.name, len(val_set), folder)
    check_scores(metrics, summary.get("baseline", {}), task.monitor[0])
    return Run(folder, metrics, summary, _packages(cfg))


def _announce(data: PerceptionData, task: PerceptionTask, cfg: DictConfig, folder: Path) -> None:
    """Say in a line what is trained."""
    assert data.train is not None
    trainable, total = parameter_counts(task)
    log.info(
        "%s, %d training and %d validation images, %.2f M trainable of %.2f M parameters, %s, in %s",
        data.train.info.name,
        len(data.train),
        len(data.val),
        trainable / 1e6,
        total / 1e6,
        cfg.trainer.precision,
        folder,
    )


def _estimate(cfg: DictConfig, train_set: PerceptionDataset, device: torch.device, libraries: int) -> Estimate | None:
    """What training needs; None: the size of its images is not known before they are read."""
    try:
        return estimated(cfg, train_set.info, device, len(train_set), libraries)
    except ConfigError as error:
        if cfg.images_at_once == "auto":
            raise
        log.info("note: no estimate of memory. %s", error)
        return None


def _packages(cfg: DictConfig) -> tuple[str, ...]:
    """The packages besides this one and its libraries whose classes a configuration names."""
    nodes = [node for _, node in nodes_of(OmegaConf.to_container(cfg), "") if isinstance(node, dict)]
    roots = {str(node["_target_"]).partition(".")[0] for node in nodes if "_target_" in node}
    return tuple(sorted(roots - {"diffperc", "albumentations", "lightning", "torch"}))
