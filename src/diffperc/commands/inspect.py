"""Looking a data set through before anything is trained on it: all that is wrong, what is in it, how fast it loads."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch.utils.data import DataLoader, Subset

from diffperc.data import PerceptionDataset
from diffperc.data.diagnostics import Findings, collected
from diffperc.engine import PerceptionData
from diffperc.engine.build import build_dataset
from diffperc.engine.datamodule import start_worker
from diffperc.engine.trainer import write_json
from diffperc.errors import ConfigError, DataError, DiffPercError
from diffperc.inspection.montage import truth_figure
from diffperc.inspection.statistics import Examined, Look, Summary
from diffperc.types.keypoints import COCO_KEYPOINTS
from diffperc.visualization.panels import stacked

_LISTED = 20  # sentences on the screen; the file has all


def inspect(cfg: DictConfig) -> None:
    """Look at both splits; leaves ``report.json``, ``problems.txt`` and ``montage.png``, and prints what they say.

    Raises:
        DataError: something must be mended before the data can be used.
        KeyboardInterrupt: it was stopped; what was seen so far is reported.
        ConfigError: a number of the inspection makes no sense.
    """
    _check_numbers(cfg)
    folder = Path(HydraConfig.get().runtime.output_dir)
    sets, findings = _open(cfg)
    summaries = {split: Summary() for split in sets}
    stopped = False
    speed: dict[str, float] = {}
    try:
        for split, dataset in sets.items():
            _go_through(dataset, summaries[split], cfg, split)
        speed = _throughput(sets, summaries, cfg)
    except KeyboardInterrupt:
        stopped = True
    problems = [*findings.problems, *(p for s in summaries.values() for p in s.problems)]
    info = next((dataset.info for dataset in sets.values()), None)
    classes = info.classes if info is not None else ()
    notes = [*findings.left_out, *(n for s in sets for n in _notes(sets[s], summaries[s])), *_shared(summaries)]
    if "train" in sets and len(sets["train"]) < cfg.recipe.batch_size:
        notes.append(
            f"train: has {len(sets['train'])} samples; training needs at least recipe.batch_size={cfg.recipe.batch_size}."
        )
    report: dict[str, Any] = {
        "dataset": cfg.dataset._target_.rpartition(".")[2],
        "task": cfg.task._target_.rpartition(".")[2],
        "complete": not stopped and cfg.samples is None,
        "splits": {split: summary.to_dict(classes) for split, summary in summaries.items()},
        "loader": speed,
        "notes": notes,
        "problems": problems,
    }
    write_json(folder / "report.json", report)
    (folder / "problems.txt").write_text("".join(f"{p}\n" for p in problems), encoding="utf-8")
    written = ["report.json", "problems.txt"]
    if not stopped and _montage(sets, summaries, cfg.pictures, folder / "montage.png"):
        written.append("montage.png")
    _print(report, problems, notes)
    print(f"written: {folder}/ {', '.join(written)}")
    if stopped:
        seen = ", ".join(f"{summary.count} of {len(sets[split])} {split}" for split, summary in summaries.items())
        print(f"stopped after {seen} samples.")
        raise KeyboardInterrupt
    if problems:
        raise DataError(
            f"the data cannot be used as it is: {len(problems)} problems, listed in {folder / 'problems.txt'}."
        )
    print("the data can be used.")


def _check_numbers(cfg: DictConfig) -> None:
    least = {"samples": 1, "pictures": 0, "seconds": 0, "num_workers": 0}
    wrong = [
        key for key, low in least.items() if not ((cfg[key] is None and key == "samples") or _at_least(cfg[key], low))
    ]
    if wrong:
        raise ConfigError(f"{wrong[0]}: must be a number of at least {least[wrong[0]]}, found {cfg[wrong[0]]!r}.")
    if not cfg.splits or not set(cfg.splits) <= {"train", "val"}:
        raise ConfigError(f"splits: must be [train], [val] or [train,val], found {cfg.splits}.")
    if cfg.step_seconds is not None and not (_at_least(cfg.step_seconds, 0) and cfg.step_seconds > 0):
        raise ConfigError(f"step_seconds: must be more than 0, found {cfg.step_seconds!r}.")


def _at_least(value: Any, low: float) -> bool:
    return isinstance(value, int | float) and value >= low


def _open(cfg: DictConfig) -> tuple[dict[str, PerceptionDataset], Findings]:
    """The splits that can be opened, and what was wrong with lists and folders."""
    sets: dict[str, PerceptionDataset] = {}
    with collected() as findings:
        for split in cfg.splits:
            try:
                sets[split] = build_dataset(cfg, split)
            except Exception as error:  # hydra wraps what a constructor raised
                mine = error if isinstance(error, DiffPercError) else error.__cause__
                if not isinstance(mine, DiffPercError):
                    raise
                findings.problems.append(mine.sentence)
    # what concerns both splits is found twice
    return sets, Findings(list(dict.fromkeys(findings.problems)), list(dict.fromkeys(findings.left_out)))


def _go_through(dataset: PerceptionDataset, summary: Summary, cfg: DictConfig, split: str) -> None:
    count = len(dataset) if cfg.samples is None else min(int(cfg.samples), len(dataset))
    # spread over the split where not all are looked at
    chosen = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    loader = DataLoader(
        Subset(Examined(dataset), chosen),
        batch_size=8,
        num_workers=cfg.num_workers,
        collate_fn=list[Look],
        worker_init_fn=start_worker,
    )
    with Progress(transient=True) as progress:
        bar = progress.add_task(f"{split} samples", total=count)
        for looks in loader:
            summary.add(looks)
            progress.advance(bar, len(looks))


def _throughput(sets: dict[str, PerceptionDataset], summaries: dict[str, Summary], cfg: DictConfig) -> dict[str, float]:
    """Images a second from the training loader, augmentation included; none where a file cannot be read."""
    if "train" not in sets or summaries["train"].problems or not len(sets["train"]):
        return {}
    dataset = sets["train"]
    batch_size = min(cfg.recipe.batch_size, len(dataset))
    data = PerceptionData(dataset, sets.get("val", dataset), batch_size, 1, cfg.num_workers, cfg.seed)
    loader = data.loader(dataset, batch_size, training=True)
    batches = itertools.chain.from_iterable(loader for _ in itertools.count())  # a small data set is gone round
    try:
        next(batches)  # starting processes is not loading
        images, start = 0, time.perf_counter()
        for batch in batches:
            images += len(batch)
            if time.perf_counter() - start > cfg.seconds:
                break
        seconds = time.perf_counter() - start
    except DataError:  # such as crops of different sizes: training says so
        return {}
    found = {"images_per_second": images / seconds, "processes": float(cfg.num_workers)}
    if not cfg.splits or not set(cfg.splits) <= {"train", "val"}:
        raise ConfigError(f"splits: must be [train], [val] or [train,val], found {cfg.splits}.")
    if cfg.step_seconds is not None:
        found["needed_per_second"] = cfg.recipe.batch_size / cfg.step_seconds
    return found


def _notes(dataset: PerceptionDataset, summary: Summary) -> list[str]:
    """What can be used, but may not be meant."""
    info, split, notes = dataset.info, dataset.split, []
    ranges = summary.ranges()
    if "depth, mean m" in ranges:
        middle = ranges["depth, mean m"][1]
        if not 0.1 < middle < 200:
            notes.append(f"{split}: half of the images have a mean depth beyond {middle:.3g} m; is the scale right?")
        beyond = summary.share_above("depth, largest m", info.max_depth or np.inf)
        if beyond:
            notes.append(
                f"{split}: {beyond:.0%} of the images have depths beyond dataset.max_depth={info.max_depth}, "
                "which the network cannot express."
            )
        empty = 1 - summary.share_above("depth, measured share", 0)
        if empty:
            notes.append(f"{split}: {empty:.0%} of the images have no measured depth at all.")
    if summary.pixels.any():
        absent = [name for i, name in enumerate(info.classes) if not summary.pixels[i]]
        if absent:
            notes.append(
                f"{split}: {len(absent)} of {len(info.classes)} classes do not occur: {', '.join(absent[:8])}."
            )
        if not summary.pixels[: len(info.classes)].any():
            notes.append(f"{split}: no pixel is counted; all ids are among those that are ignored.")
    empty = 1 - summary.share_above("referent, share of the image", 0) if "expressions" in ranges else 0
    if empty:
        notes.append(f"{split}: {empty:.0%} of the expressions point to an empty mask.")
    return notes


def _shared(summaries: dict[str, Summary]) -> list[str]:
    if len(summaries) < 2:
        return []
    both = sorted(summaries["train"].paths & summaries["val"].paths)
    return [f"{len(both)} images are in both splits, such as {both[0]}."] if both else []


def _montage(sets: dict[str, PerceptionDataset], summaries: dict[str, Summary], count: int, file: Path) -> bool:
    """Samples of both splits with their truths, spread over each."""
    rows = []
    for split, dataset in sets.items():
        if summaries[split].count:
            for index in (
                np.linspace(0, len(dataset) - 1, min(int(count) // len(sets), len(dataset))).round().astype(int)
            ):
                try:
                    rows.append(truth_figure(dataset[int(index)], dataset.info, split))
                except DataError:  # listed among the problems
                    continue
    if rows:
        Image.fromarray(stacked(rows, columns=2)).save(file)
    return bool(rows)


def _print(report: dict[str, Any], problems: Sequence[str], notes: Sequence[str]) -> None:
    console = Console(width=None if Console().is_terminal else 140)
    splits = report["splits"]
    table = Table(title=f"{report['dataset']} for {report['task']}")
    for column in ("", *splits):
        table.add_column(column)
    table.add_row("samples", *(str(s["samples"]) for s in splits.values()))
    table.add_row("images", *(str(s["images"]) for s in splits.values()))
    table.add_row("sizes", *(_sizes(s["sizes"]) for s in splits.values()))
    for name in dict.fromkeys(name for s in splits.values() for name in s["values"]):
        cells = (s["values"].get(name) for s in splits.values())
        table.add_row(name, *("" if c is None else f"{c[0]:.4g} .. {c[1]:.4g} .. {c[2]:.4g}" for c in cells))
    console.print(table)
    print("ranges are least .. median .. largest of a sample")
    classes = [name for s in splits.values() for name in s["classes"]]
    if classes:
        table = Table(title="share of the counted pixels, and in how many images")
        for column in ("class", *splits):
            table.add_column(column)
        for name in dict.fromkeys(classes):
            found = (s["classes"].get(name) for s in splits.values())
            table.add_row(name, *("" if c is None else f"{c['share']:8.3%} {c['images']:6d}" for c in found))
        console.print(table)
    joints = {split: s["keypoints"] for split, s in splits.items() if s["keypoints"]}
    if joints:
        table = Table(title="in how many persons a keypoint is labelled")
        for column in ("keypoint", *joints):
            table.add_column(column)
        for name, *counts in zip(COCO_KEYPOINTS.names, *joints.values(), strict=True):
            table.add_row(name, *map(str, counts))
        console.print(table)
    if report["loader"]:
        print(_speed(report["loader"]))
    for title, sentences in (("note", notes), ("problem", problems)):
        for sentence in sentences[:_LISTED]:
            print(f"{title}: {sentence}")
        if len(sentences) > _LISTED:
            print(f"{title}: and {len(sentences) - _LISTED} more.")


def _sizes(sizes: dict[str, int]) -> str:
    ordered = sorted(sizes.items(), key=lambda pair: -pair[1])
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return ", ".join(f"{size} ({n})" for size, n in ordered[:3]) + more


def _speed(loader: dict[str, float]) -> str:
    speed, processes = loader["images_per_second"], round(loader["processes"])
    text = f"loader: {speed:.1f} images/s, augmentation included, num_workers={processes}"
    if "needed_per_second" not in loader:
        return f"{text}; step_seconds=... tells whether that is enough"
    enough = speed >= loader["needed_per_second"]
    verdict = "enough" if enough else "too slow: training would wait; raise num_workers or store smaller images"
    return f"{text}; {loader['needed_per_second']:.1f} are needed: {verdict}"
