"""Looking at the samples of a data set: for `inspect`, and in short before training."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Subset

from diffperc.data import PerceptionDataset
from diffperc.engine.datamodule import start_worker
from diffperc.errors import DataError
from diffperc.inspection.statistics import Measured, MeasuredDataset, Summary
from diffperc.inspection.twins import near_twins
from diffperc.reports.judgement import LEAKS
from diffperc.types import Target

_SHORT = 64  # samples of each split that are looked at before training
_SECONDS = 10.0  # and for how long at most
_SHOWN = 8

Sets = Mapping[str, PerceptionDataset]
Summaries = Mapping[str, Summary]


def measure(
    dataset: PerceptionDataset,
    target: Target,
    summary: Summary,
    samples: int | None = None,
    num_workers: int = 0,
    progress: Callable[[int], Any] = lambda count: None,
    seconds: float = float("inf"),
) -> None:
    """Add samples of a split to its summary, spread evenly over the split.

    Args:
        dataset: the split.
        target: its ground truth.
        summary: see `Summary`.
        samples: how many at most; None: all.
        num_workers: loader processes.
        progress: called with the number of samples that were added.
        seconds: after which no further sample is looked at.
    """
    count = len(dataset) if samples is None else min(samples, len(dataset))
    chosen = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    loader = DataLoader(
        Subset(MeasuredDataset(dataset, target), chosen),
        batch_size=8,
        num_workers=num_workers,
        collate_fn=list[Measured],
        worker_init_fn=start_worker,
    )
    start = time.monotonic()
    for measured in loader:
        summary.add(measured)
        progress(len(measured))
        if time.monotonic() - start > seconds:
            break


def problems_of(sets: Sets, summaries: Summaries, target: Target) -> list[str]:
    """Sentences about samples that cannot be read, and about splits that cannot be trained on or scored."""
    problems: list[str] = []
    for split, summary in summaries.items():
        problems += summary.problems
        if summary.count:
            problems += target.problems(summary, sets[split].info, _label(split, summary))
    return problems


def notes_of(sets: Sets, summaries: Summaries, target: Target) -> list[str]:
    """Sentences about data that can be used but may not be intended."""
    notes: list[str] = []
    for split, summary in summaries.items():
        if summary.count:
            notes += target.notes(summary, sets[split].info, _label(split, summary))
        for fact, paths in summary.facts.items():
            notes.append(f"{_label(split, summary)}: {len(paths)} images {fact}, such as {min(paths)}.")
    nothing = Summary()
    train, val = summaries.get("train", nothing), summaries.get("val", nothing)
    both = train.paths & val.paths
    if both:
        notes.append(f"{len(both)} images {LEAKS[0]}, such as {min(both)}.")
    twins = near_twins(train.thumbnails, val.thumbnails)
    if twins:
        notes.append(
            f"{len(twins)} of {len(val.thumbnails)} validation images {LEAKS[1]}, such as "
            f"{twins[0][0]} and {twins[0][1]}; are they frames of one video? The score would be too good. Keep what belongs "
            "together on one side: dataset.group_by=folder, or a list val.txt."
        )
    return notes


def sentences_cut(summaries: Summaries, cut: Callable[[Sequence[str]], Sequence[str]], length: int) -> list[str]:
    """A note for each split in which expressions are longer than the network reads.

    Args:
        summaries: by split.
        cut: see `ExpressionEncoder.cut`.
        length: tokens that are read.
    """
    notes = []
    for split, summary in summaries.items():
        longer = cut(summary.sentences) if summary.sentences else ()
        if longer:
            notes.append(
                f"{split}: {len(longer)} of {len(summary.sentences)} sentences have more than {length} tokens, and their "
                f"end is not read, such as '{longer[0]}'; set dataset.expression_length, at most 77."
            )
    return notes


def examine_before_training(sets: Sets, target: Target) -> tuple[Summaries, list[str]]:
    """Look at some samples of each split, as `inspect` does with all: the summaries, and what it would note.

    Data that is rendered is not looked at.

    Raises:
        DataError: some samples cannot be used.
    """
    summaries = {split: Summary(len(dataset)) for split, dataset in sets.items()}
    for split, dataset in sets.items():
        if len(dataset) and dataset[0].files:
            measure(dataset, target, summaries[split], _SHORT, seconds=_SECONDS)
    problems = grouped(problems_of(sets, summaries, target))
    if problems:
        raise DataError(listed(problems))
    return summaries, notes_of(sets, summaries, target)


def grouped(sentences: Sequence[str]) -> list[str]:
    """One sentence for those that differ in the file alone, which they begin with and may name again."""
    alike: dict[str, list[str]] = {}
    for sentence in sentences:
        file, colon, rest = sentence.partition(": ")
        if colon and Path(file).suffix:
            rest = re.sub(rf"(?<!\w){re.escape(Path(file).stem)}(?!\w)", "*", rest)
            alike.setdefault(rest, []).append(sentence)
        else:
            alike.setdefault(sentence, []).append(sentence)
    found = []
    for group in alike.values():
        second = f" ({len(group)} like it, {group[1].partition(': ')[0]} among them)" if len(group) > 1 else ""
        found.append(f"{group[0]}{second}")
    return found


def listed(sentences: Sequence[str]) -> str:
    """The first ones, and how many others there are."""
    shown = list(sentences[:_SHOWN])
    if len(sentences) > _SHOWN:
        shown.append(f"and {len(sentences) - _SHOWN} more; diffperc inspect lists them.")
    return "\n".join(shown)


def _label(split: str, summary: Summary) -> str:
    return split if summary.complete else f"{split} ({summary.seen} of {summary.total} samples looked at)"
