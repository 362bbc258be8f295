"""Inspecting a data set before training: all its problems, its contents, the speed of loading."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.progress import Progress

from diffperc.checkpoints.native import empty_task
from diffperc.data import PerceptionDataset
from diffperc.data.diagnostics import Collected
from diffperc.engine.build import architecture_of, build_dataset, build_preprocess, build_protocol, task_class
from diffperc.engine.datamodule import PerceptionData, loader_processes
from diffperc.errors import ConfigError, DataError, WeightsError
from diffperc.foreign import translated
from diffperc.inspection.examine import grouped, measure, notes_of, problems_of, sentences_cut
from diffperc.inspection.montage import write_montage
from diffperc.inspection.report import print_report
from diffperc.inspection.scoring import scores_of_the_truth, scoring_problem
from diffperc.inspection.statistics import Summary
from diffperc.inspection.throughput import loader_speed
from diffperc.reports.summary import write_json
from diffperc.types import Target

_LEAST = {"pictures": 0, "seconds": 0, "num_workers": 0}
_SPLITS = (("train",), ("val",), ("train", "val"), ("val", "train"))


def inspect(cfg: DictConfig) -> None:
    """Inspect both splits; writes ``report.json``, ``problems.txt`` and ``montage.png``, and prints their content.

    Raises:
        DataError: something must be fixed before the data can be used.
        KeyboardInterrupt: the inspection was stopped; the samples seen so far are reported.
        ConfigError: a number of the inspection makes no sense.
    """
    cfg.num_workers = loader_processes(cfg.num_workers)
    _check_numbers(cfg)
    folder = Path(HydraConfig.get().runtime.output_dir)
    target = task_class(cfg).target
    diagnostics = Collected()
    sets = _open(cfg, diagnostics)
    summaries = {split: Summary(len(dataset)) for split, dataset in sets.items()}
    speed: dict[str, float] = {}
    stopped = False
    try:
        for split, dataset in sets.items():
            _measure(dataset, target, summaries[split], cfg, split)
        tried = _Trial(cfg, sets, summaries)
        speed = _speed(sets, summaries, cfg)
    except KeyboardInterrupt:
        stopped, tried = True, _Trial(cfg, {}, {})
    problems = [*diagnostics.problems, *problems_of(sets, summaries, target), *_few(cfg, sets), *tried.problems]
    report = {
        **_names(cfg),
        "complete": not stopped and cfg.samples is None,
        "splits": {
            split: summary.to_dict(target.counted_names(sets[split].info)) for split, summary in summaries.items()
        },
        "loader": speed,
        "truth_as_prediction": tried.scores,
        "notes": [*diagnostics.left_out, *notes_of(sets, summaries, target), *tried.notes],
        "problems": problems,
    }
    _write(report, sets, target, 0 if stopped else int(cfg.pictures), folder, diagnostics.drafts)
    if stopped:
        _print_stopped(sets, summaries)
        raise KeyboardInterrupt
    if problems:
        raise DataError(
            f"the data cannot be used as it is: {len(problems)} problems, listed in {folder / 'problems.txt'}."
        )
    print("the data can be used.")


class _Trial:
    """What building the task and scoring the ground truth tells.

    Attributes:
        scores: metrics of the ground truth as prediction.
        problems: sentences.
        notes: sentences.
    """

    def __init__(self, cfg: DictConfig, sets: dict[str, PerceptionDataset], summaries: dict[str, Summary]) -> None:
        self.scores: dict[str, float] = {}
        self.problems: list[str] = []
        self.notes: list[str] = []
        if not all(map(len, sets.values())) or any(summary.problems for summary in summaries.values()) or not sets:
            return
        with self._collecting():
            build_preprocess(cfg)
            if "val" in sets:
                self.scores = scores_of_the_truth(cfg, sets["val"])
                problem = scoring_problem(task_class(cfg), self.scores, cfg.task.protocol.name)
                self.problems += [problem] if problem else []
        info = next(iter(sets.values())).info
        try:
            arch = architecture_of(cfg)
        except WeightsError as error:
            self.notes.append(f"the network was not built, only the data was looked at: {error.sentence}")
            return
        with self._collecting():
            expression = empty_task(cfg, arch, info).model.expression
            if expression is not None:
                self.notes += sentences_cut(summaries, expression.cut, expression.length)

    @contextlib.contextmanager
    def _collecting(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            mine = translated(error)
            if mine is None:
                raise
            self.problems += [] if mine.sentence in self.problems else [mine.sentence]


def _names(cfg: DictConfig) -> dict[str, Any]:
    return {
        "dataset": cfg.dataset._target_.rpartition(".")[2],
        "task": cfg.task._target_.rpartition(".")[2],
    }


def _print_stopped(sets: dict[str, PerceptionDataset], summaries: dict[str, Summary]) -> None:
    counts = [f"{summary.count} of {len(sets[split])} {split}" for split, summary in summaries.items()]
    print(f"stopped after {', '.join(counts)} samples.")


def _check_numbers(cfg: DictConfig) -> None:
    for key, least in _LEAST.items():
        if not _at_least(cfg[key], least):
            raise ConfigError(f"{key}: must be a number of at least {least}, found {cfg[key]!r}.")
    if cfg.samples is not None and not _at_least(cfg.samples, 1):
        raise ConfigError(f"samples: must be a number of at least 1, found {cfg.samples!r}.")
    if tuple(cfg.splits or ()) not in _SPLITS:
        raise ConfigError(f"splits: must be [train], [val] or [train,val], found {cfg.splits}.")
    if cfg.step_seconds is not None and not _at_least(cfg.step_seconds, sys.float_info.min):
        raise ConfigError(f"step_seconds: must be more than 0, found {cfg.step_seconds!r}.")


def _at_least(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and value >= least


def _open(cfg: DictConfig, diagnostics: Collected) -> dict[str, PerceptionDataset]:
    """The splits that can be opened; problems of lists and folders are collected."""
    sets: dict[str, PerceptionDataset] = {}
    for split in cfg.splits:
        try:
            sets[split] = build_dataset(cfg, split, diagnostics)
        except Exception as error:
            mine = translated(error)
            if mine is None:
                raise
            diagnostics.problem(mine.sentence)
    return sets


def _measure(dataset: PerceptionDataset, target: Target, summary: Summary, cfg: DictConfig, split: str) -> None:
    count = len(dataset) if cfg.samples is None else min(int(cfg.samples), len(dataset))
    with Progress(transient=True) as progress:
        bar = progress.add_task(f"{split} samples", total=count)
        measure(dataset, target, summary, cfg.samples, cfg.num_workers, lambda done: progress.advance(bar, done))


def _speed(sets: dict[str, PerceptionDataset], summaries: dict[str, Summary], cfg: DictConfig) -> dict[str, float]:
    """The speed of the training loader; empty if a file cannot be read."""
    train = sets.get("train")
    if train is None or len(train) == 0 or summaries["train"].problems:
        return {}
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


def _few(cfg: DictConfig, sets: dict[str, PerceptionDataset]) -> list[str]:
    """A problem if there are fewer training samples than in a batch."""
    count = len(sets["train"]) if "train" in sets else cfg.recipe.batch_size
    if not 0 < count < cfg.recipe.batch_size:  # none at all is a problem of its own
        return []
    return [
        f"train: has {count} samples, fewer than recipe.batch_size={cfg.recipe.batch_size}; set recipe.batch_size={count}, "
        "or less."
    ]


def _write(
    report: dict[str, Any],
    sets: dict[str, PerceptionDataset],
    target: Target,
    pictures: int,
    folder: Path,
    drafts: dict[str, str],
) -> None:
    write_json(folder / "report.json", report)
    problems = "\n".join([*report["problems"], ""])
    (folder / "problems.txt").write_text(problems, encoding="utf-8")
    written = ["report.json", "problems.txt"]
    for name, text in drafts.items():
        (folder / name).write_text(text, encoding="utf-8")
        written.append(f"{name} (a draft; complete it and put it into the data set)")
    if pictures and sets and write_montage(sets, target, pictures, folder / "montage.png"):
        written.append("montage.png")
    shown = {"problems": grouped(report["problems"]), "notes": grouped(report["notes"])}
    print_report({**report, **shown}, target.counted)
    print(f"written: {folder}/ {', '.join(written)}")
