"""Looking a data set through before anything is trained on it: all that is wrong, what it holds, how fast it loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.progress import Progress
from torch.utils.data import DataLoader, Subset

from diffperc.data import PerceptionDataset
from diffperc.data.diagnostics import Collected
from diffperc.engine.build import build_dataset, build_preprocess, build_protocol, task_class
from diffperc.engine.datamodule import PerceptionData, start_worker
from diffperc.errors import ConfigError, DataError, DiffPercError
from diffperc.inspection.montage import write_montage
from diffperc.inspection.report import print_report
from diffperc.inspection.statistics import Measured, MeasuredDataset, Summary
from diffperc.inspection.throughput import loader_speed
from diffperc.reports.summary import write_json
from diffperc.types import Target

_LEAST = {"samples": 1, "pictures": 0, "seconds": 0, "num_workers": 0}


def inspect(cfg: DictConfig) -> None:
    """Look at both splits; leaves ``report.json``, ``problems.txt`` and ``montage.png``, and prints what they hold.

    Raises:
        DataError: something must be fixed before the data can be used.
        KeyboardInterrupt: it was stopped; what was seen so far is reported.
        ConfigError: a number of the inspection makes no sense.
    """
    _check_numbers(cfg)
    folder = Path(HydraConfig.get().runtime.output_dir)
    target = task_class(cfg).target
    diagnostics = Collected()
    sets = _open(cfg, diagnostics)
    summaries = {split: Summary() for split in sets}
    speed: dict[str, float] = {}
    stopped = False
    try:
        for split, dataset in sets.items():
            _measure(dataset, target, summaries[split], cfg, split)
        speed = _speed(sets, summaries, cfg)
    except KeyboardInterrupt:
        stopped = True
    report: dict[str, Any] = {
        "dataset": cfg.dataset._target_.rpartition(".")[2],
        "task": cfg.task._target_.rpartition(".")[2],
        "complete": not stopped and cfg.samples is None,
        "splits": {
            split: summary.to_dict(target.counted_names(sets[split].info)) for split, summary in summaries.items()
        },
        "loader": speed,
        "notes": _notes(cfg, sets, summaries, target, diagnostics),
        "problems": [*diagnostics.problems, *[p for summary in summaries.values() for p in summary.problems]],
    }
    _write(report, sets, target, 0 if stopped else int(cfg.pictures), folder)
    if stopped:
        counts = [f"{summary.count} of {len(sets[split])} {split}" for split, summary in summaries.items()]
        print(f"stopped after {', '.join(counts)} samples.")
        raise KeyboardInterrupt
    if report["problems"]:
        raise DataError(
            f"the data cannot be used as it is: {len(report['problems'])} problems, listed in {folder / 'problems.txt'}."
        )
    print("the data can be used.")


def _check_numbers(cfg: DictConfig) -> None:
    for key, least in _LEAST.items():
        value = cfg[key]
        unset = value is None and key == "samples"
        if not unset and not _at_least(value, least):
            raise ConfigError(f"{key}: must be a number of at least {least}, found {value!r}.")
    if not cfg.splits or not set(cfg.splits) <= {"train", "val"}:
        raise ConfigError(f"splits: must be [train], [val] or [train,val], found {cfg.splits}.")
    step = cfg.step_seconds
    if step is not None and (not _at_least(step, 0) or step == 0):
        raise ConfigError(f"step_seconds: must be more than 0, found {step!r}.")


def _at_least(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and value >= least


def _open(cfg: DictConfig, diagnostics: Collected) -> dict[str, PerceptionDataset]:
    """The splits that can be opened; what was wrong with lists and folders is collected."""
    sets: dict[str, PerceptionDataset] = {}
    for split in cfg.splits:
        try:
            sets[split] = build_dataset(cfg, split, diagnostics)
        except Exception as error:  # hydra wraps what a constructor raised
            mine = error if isinstance(error, DiffPercError) else error.__cause__
            if not isinstance(mine, DiffPercError):
                raise
            diagnostics.problem(mine.sentence)
    return sets


def _measure(dataset: PerceptionDataset, target: Target, summary: Summary, cfg: DictConfig, split: str) -> None:
    count = len(dataset) if cfg.samples is None else min(int(cfg.samples), len(dataset))
    # spread over the split where not all are looked at
    chosen = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    loader = DataLoader(
        Subset(MeasuredDataset(dataset, target), chosen),
        batch_size=8,
        num_workers=cfg.num_workers,
        collate_fn=list[Measured],
        worker_init_fn=start_worker,
    )
    with Progress(transient=True) as progress:
        bar = progress.add_task(f"{split} samples", total=count)
        for samples in loader:
            summary.add(samples)
            progress.advance(bar, len(samples))


def _speed(sets: dict[str, PerceptionDataset], summaries: dict[str, Summary], cfg: DictConfig) -> dict[str, float]:
    """Of the training loader; nothing where a file cannot be read."""
    if "train" not in sets or summaries["train"].problems or not len(sets["train"]):
        return {}
    train = sets["train"]
    data = PerceptionData(
        train,
        sets.get("val", train),
        build_preprocess(cfg),
        task_class(cfg).target,
        build_protocol(cfg),
        batch_size=min(cfg.recipe.batch_size, len(train)),
        eval_batch_size=1,
        num_workers=cfg.num_workers,
        seed=cfg.seed,
    )
    speed = loader_speed(data, cfg.seconds)
    if speed is None:
        return {}
    found = {"images_per_second": speed, "processes": float(cfg.num_workers)}
    if cfg.step_seconds is not None:
        found["needed_per_second"] = cfg.recipe.batch_size / cfg.step_seconds
    return found


def _notes(
    cfg: DictConfig,
    sets: dict[str, PerceptionDataset],
    summaries: dict[str, Summary],
    target: Target,
    diagnostics: Collected,
) -> list[str]:
    """What can be used, but may not be meant."""
    notes = list(diagnostics.left_out)
    for split, summary in summaries.items():
        if summary.count:
            notes += target.notes(summary, sets[split].info, split)
    if len(summaries) == 2:
        both = sorted(summaries["train"].paths & summaries["val"].paths)
        notes += [f"{len(both)} images are in both splits, such as {both[0]}."] if both else []
    if "train" in sets and len(sets["train"]) < cfg.recipe.batch_size:
        notes.append(
            f"train: has {len(sets['train'])} samples; training needs at least recipe.batch_size={cfg.recipe.batch_size}."
        )
    return notes


def _write(
    report: dict[str, Any], sets: dict[str, PerceptionDataset], target: Target, pictures: int, folder: Path
) -> None:
    write_json(folder / "report.json", report)
    lines = [f"{problem}\n" for problem in report["problems"]]
    (folder / "problems.txt").write_text("".join(lines), encoding="utf-8")
    written = ["report.json", "problems.txt"]
    readable = {split: dataset for split, dataset in sets.items() if report["splits"][split]["samples"]}
    if pictures and readable and write_montage(readable, target, pictures, folder / "montage.png"):
        written.append("montage.png")
    print_report(report, target.counted)
    print(f"written: {folder}/ {', '.join(written)}")
