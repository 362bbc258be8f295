"""Scoring checkpoints, one or several, and what is written of it."""

from __future__ import annotations

import glob
import platform
import subprocess
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig

import diffperc
from diffperc.checkpoints import check_fits, load_task
from diffperc.engine import PerceptionData
from diffperc.engine.build import build_dataset
from diffperc.engine.callbacks import Figures
from diffperc.engine.trainer import checked_trainer, quiet_lightning, report, write_json
from diffperc.errors import CheckpointError
from diffperc.reports.tables import Row, write_table


def evaluate(cfg: DictConfig) -> None:
    """Score the checkpoints that ``cfg.ckpt`` names; leaves figures, a ``summary.json`` each, and one table of all.

    Raises:
        CheckpointError: there is none, or one cannot be read or does not fit the data.
        ConfigError: the protocol is not one of the task.
    """
    quiet_lightning()
    folder = Path(HydraConfig.get().runtime.output_dir)
    files = checkpoint_files(cfg.ckpt)
    rows = []
    for i, file in enumerate(files):
        summary = evaluate_one(cfg, file, folder if len(files) == 1 else folder / str(i))
        rows.append(_row(summary))
    write_table(rows, folder / "results", "results", show=len(rows) > 1)
    print(f"results:    {folder / 'results'}.csv, .md")


def checkpoint_files(wanted: str | ListConfig) -> list[str]:
    """The files that a path, a pattern such as ``'runs/sweep/*/checkpoints/last.ckpt'``, or a list of either names.

    Raises:
        CheckpointError: a pattern matches nothing.
    """
    found: list[str] = []
    for pattern in wanted if isinstance(wanted, ListConfig) else [wanted]:
        matches = (
            sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True)) if "*" in str(pattern) else [pattern]
        )
        if not matches:
            raise CheckpointError(f"ckpt: no file matches '{pattern}'.")
        found += matches
    return found


def evaluate_one(cfg: DictConfig, file: str, folder: Path) -> dict[str, Any]:
    """Score one checkpoint; returns what its ``summary.json`` says."""
    task, trained = load_task(file)
    if cfg.root is not None:
        trained.dataset.root = cfg.root
    protocol = cfg.get("protocol")  # a group of which nothing is chosen leaves no key
    if protocol is not None:
        task.score_by(instantiate(protocol, _convert_="all"))
        trained.dataset.protocols[task.name] = protocol
    val_set = build_dataset(trained, "val")
    check_fits(file, {"diffperc": task.provenance}, trained, val_set.info)
    batch_size = cfg.eval_batch_size or trained.recipe.eval_batch_size
    data = PerceptionData(None, val_set, batch_size, batch_size, cfg.num_workers, trained.seed)
    trainer = checked_trainer(
        L.Trainer,
        accelerator=cfg.accelerator,
        devices=1,
        logger=False,
        callbacks=[Figures(folder / "figures")],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    values = trainer.validate(task, data, verbose=False, weights_only=True)[0]
    summary = {
        "metrics": values,
        "classes": task.by_class,
        "protocol": val_set.info.protocols[task.name].name,
        "dataset": val_set.info.name,
        "images": len(val_set),
        "checkpoint": str(Path(file).absolute()),
        "task": task.name,
        "strategy": trained.strategy._target_.rpartition(".")[2],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "summary.json", summary)
    report(summary, val_set, folder)
    return summary


def _row(summary: dict[str, Any]) -> Row:
    """A result with all that must be known to compare it: protocol, code, versions, hardware."""
    kept = ("checkpoint", "task", "strategy", "dataset", "protocol", "images")
    row = {name: str(summary[name]) for name in kept}
    row |= {name.removeprefix("val/"): f"{value:.4f}" for name, value in summary["metrics"].items()}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"
    return row | {
        "diffperc": diffperc.__version__,
        "commit": _commit(),
        "torch": str(torch.__version__),
        "hardware": device,
    }


def _commit() -> str:
    """Of the checkout this runs from; empty for an installed package."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
