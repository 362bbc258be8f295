"""Scoring checkpoints, one or several."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig

from diffperc.checkpoints import check_fits, checkpoint_in, load_task, set_up_for_inference
from diffperc.config.run_folder import check_free
from diffperc.data import PerceptionDataset
from diffperc.engine.build import build_dataset, build_preprocess
from diffperc.engine.callbacks import EndAtOnce, Figures
from diffperc.engine.datamodule import PerceptionData
from diffperc.engine.device import find_device, trainer_options
from diffperc.engine.precision import precision_options
from diffperc.engine.trainer import checked_trainer, quiet_lightning
from diffperc.errors import CheckpointError, ConfigError
from diffperc.foreign import translated
from diffperc.models import LatentCache, LatentsInMemory
from diffperc.reports.environment import commit, hardware
from diffperc.reports.summary import check_scores, print_summary, write_json
from diffperc.reports.tables import Row, write_table
from diffperc.tasks import PerceptionTask
from diffperc.version import __version__


def evaluate(cfg: DictConfig) -> None:
    """Score the checkpoints of ``cfg.ckpt``; writes figures and a ``summary.json`` for each, and one table of all.

    Of several, one that cannot be scored does not stop the others; the table holds its error.

    Raises:
        CheckpointError: there is none, or one cannot be read or does not fit the data; or several could not be scored, for
            any reason.
        ConfigError: the protocol is not one of the task.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    files = checkpoint_files([cfg.ckpt] if isinstance(cfg.ckpt, str) else cfg.ckpt)
    rows, failed = [], []
    latents = LatentsInMemory(int(cfg.keep_latents * 1e9))
    for i, file in enumerate(files):
        inner = folder if len(files) == 1 else folder / str(i)
        try:
            rows.append(_row(evaluate_one(file, inner, cfg, latents)))
        except Exception as error:
            mine = translated(error)
            if mine is None or len(files) == 1:
                raise
            failed.append(mine.sentence if str(file) in mine.sentence else f"{file}: {mine.sentence}")
            rows.append({"checkpoint": str(file), "error": mine.sentence})
            print(f"{file}: not scored: {mine.sentence}", flush=True)
    write_table(rows, folder / "results", "results", show=len(rows) > 1)
    print(f"results:    {folder / 'results'}.csv, .md")
    if failed:
        raise CheckpointError("\n".join([f"{len(failed)} of {len(files)} checkpoints were not scored:", *failed]))


def checkpoint_files(wanted: Sequence[str] | ListConfig) -> list[Path]:
    """The files of paths, run folders, and patterns such as ``'runs/sweep/*/checkpoints/last.ckpt'``.

    Raises:
        CheckpointError: a pattern matches nothing.
    """
    found: list[Path] = []
    for pattern in wanted:
        path = Path(str(pattern)).expanduser()
        matches = [str(path)]
        if "*" in str(pattern):
            matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise CheckpointError(f"ckpt: no file matches '{pattern}'.")
        found += [checkpoint_in(match) for match in matches]
    return found


def evaluate_one(file: Path, folder: Path, cfg: DictConfig, latents: LatentCache) -> dict[str, Any]:
    """Score one checkpoint; returns the content of its ``summary.json``.

    Args:
        file: the checkpoint.
        folder: for figures and summary.
        cfg: ``root``, ``protocol``, ``eval_batch_size``, ``num_workers``, ``device``, ``precision``,
            ``optimize``, ``compile``, ``trust``, as in ``conf/evaluate.yaml``.
        latents: of images that were encoded for another checkpoint, and are kept for the next.

    Raises:
        CheckpointError: see `evaluate`.
        ConfigError: see `evaluate`; or a number is too small, or the data set has no folder.
    """
    quiet_lightning()
    check_free(folder)
    task, trained = load_task(file, cfg.trust, needs=("dataset",))
    if cfg.root is not None:
        if "root" not in trained.dataset:
            raise ConfigError(
                f"root={cfg.root}: {file} was trained on {task.info.name}, which has no folder; leave root out."
            )
        trained.dataset.root = str(cfg.root)
    eval_batch_size = cfg.eval_batch_size
    if eval_batch_size is None:
        eval_batch_size = trained.recipe.eval_batch_size
    protocol = cfg.get("protocol")  # a group without a choice leaves no key
    if protocol is not None:
        task.score_by(instantiate(protocol, _convert_="all"))
    val_set = build_dataset(trained, "val")
    check_fits(file, {"diffperc": task.provenance}, trained, val_set.info)
    data = PerceptionData(
        None,
        val_set,
        build_preprocess(trained),
        task.target,
        task.protocol,
        batch_size=1,
        eval_batch_size=eval_batch_size,
        num_workers=cfg.num_workers,
        seed=trained.seed,
    )
    device = find_device(cfg.device)
    wanted = str(cfg.precision or task.provenance.get("precision", "32-true"))
    task.model.keep_latents(latents)
    precision = set_up_for_inference(task.model, device, wanted, bool(cfg.optimize), bool(cfg.compile))
    trainer = checked_trainer(
        L.Trainer,
        **trainer_options(device),
        **precision_options(precision),
        logger=False,
        callbacks=[Figures(folder / "figures"), EndAtOnce()],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    values = trainer.validate(task, data, verbose=False, weights_only=True)[0]
    summary = {
        "metrics": values,
        "baseline": _baseline(task, trained, val_set),
        "classes": task.by_class,
        "protocol": task.protocol.name,
        "dataset": val_set.info.name,
        "images": len(val_set),
        "precision": precision,
        "checkpoint": str(file.absolute()),
        "task": task.name,
        "strategy": trained.strategy._target_.rpartition(".")[2],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "summary.json", summary)
    print_summary(summary, val_set.info.name, len(val_set), folder)
    check_scores(values, summary["baseline"], task.monitor[0])
    return summary


def _baseline(task: PerceptionTask, trained: DictConfig, val_set: PerceptionDataset) -> dict[str, float]:
    """Metrics of the best prediction that does not look at the image; empty where the training split is not at hand."""
    try:
        return task.baseline(build_dataset(trained, "train"), val_set)
    except Exception as error:
        mine = translated(error)
        if mine is None:
            raise
        print(f"no baseline, which is made of the training split: {mine.sentence}")
        return {}


def _row(summary: dict[str, Any]) -> Row:
    """A result with everything needed to compare it: protocol, code, versions, hardware."""
    kept = ("checkpoint", "task", "strategy", "dataset", "protocol", "images", "precision")
    row = {name: str(summary[name]) for name in kept}
    for name, value in summary["metrics"].items():
        row[name.removeprefix("val/")] = f"{value:.4f}"
    return row | {
        "diffperc": __version__,
        "commit": commit(),
        "torch": str(torch.__version__),
        "hardware": hardware(),
    }
