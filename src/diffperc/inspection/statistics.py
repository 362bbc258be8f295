"""Statistics of a data set: a few numbers per sample, and their summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from diffperc.data import PerceptionDataset
from diffperc.data.pipeline import check_elongation
from diffperc.errors import DataError
from diffperc.files.headers import image_facts
from diffperc.inspection.twins import thumbnail
from diffperc.types import DenseTarget, Statistics, Target


@dataclass(frozen=True)
class Measured:
    """The numbers of one sample.

    Attributes:
        index: of the sample.
        path: of its image.
        problems: sentences; a sample with problems has no numbers.
        size: (H, W) of the image.
        values: brightness and contrast of the image in [0, 255], and `Statistics.values` of the target.
        target: `Statistics` of the target.
        facts: see `image_facts`.
        sentences: expressions.
        thumbnail: see `inspection.twins`.
    """

    index: int
    path: str = ""
    problems: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    values: dict[str, float] = field(default_factory=dict)
    target: Statistics = field(default_factory=Statistics)
    facts: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    thumbnail: NDArray[np.float32] | None = None


class MeasuredDataset(Dataset[Measured]):
    """The numbers of each sample of a data set; a bad sample becomes a sentence and stops nothing."""

    def __init__(self, dataset: PerceptionDataset, target: Target) -> None:
        self.dataset, self.target = dataset, target

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Measured:
        try:
            sample = self.dataset[index]
            check_elongation(sample.path, sample.image)
            facts = image_facts(sample.files[0]) if sample.files else ()
        except DataError as error:
            return Measured(index, problems=self._problems(index, error.sentence))
        found = self.target.statistics(sample, self.dataset.info)
        values = {"brightness": float(sample.image.mean()), "contrast": float(sample.image.std()), **found.values}
        size = (sample.image.shape[0], sample.image.shape[1])
        small = thumbnail(sample.image) if sample.files else None
        return Measured(index, sample.path, (), size, values, found, facts, sample.expressions, small)

    def _problems(self, index: int, problem: str) -> tuple[str, ...]:
        """The problems of a sample; if both files are bad, that of the ground truth is reported too."""
        if not isinstance(self.target, DenseTarget):
            return (problem,)
        try:
            self.dataset.target(index)
        except DataError as error:
            return tuple(dict.fromkeys((problem, error.sentence)))
        return (problem,)


class Summary:
    """The numbers of a split so far.

    Args:
        total: the number of samples of the split.

    Attributes:
        count: good samples.
        problems: sentences about the others.
        sizes: how many images have each (H, W).
        paths: of the images.
        counts: (K,) per class or keypoint; `images`: the number of samples in which it occurs.
        ignored: pixels by the id in the files that are not counted.
        colours: by the id in the files: the RGB that palettes give it, each with the first image that has it.
        facts: by clause, the images of which it is true, see `image_facts`.
        sentences: all expressions.
        thumbnails: by image, see `inspection.twins`.
    """

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self.seen = 0
        self.ignored: Counter[int] = Counter()
        self.colours: dict[int, dict[tuple[int, ...], str]] = {}
        self.facts: dict[str, set[str]] = {}
        self.sentences: list[str] = []
        self.thumbnails: dict[str, NDArray[np.float32]] = {}
        self.count = 0
        self.problems: list[str] = []
        self.sizes: dict[tuple[int, int], int] = {}
        self.paths: set[str] = set()
        self.counts = self.images = np.zeros(0, np.int64)
        self._values: dict[str, list[float]] = {}

    def add(self, samples: Iterable[Measured]) -> None:
        """Add further samples."""
        for sample in samples:
            self._add(sample)

    @property
    def complete(self) -> bool:
        """Whether every sample of the split was looked at."""
        return self.seen >= self.total

    def _add(self, sample: Measured) -> None:
        self.seen += 1
        if sample.problems:
            self.problems = list(dict.fromkeys([*self.problems, *sample.problems]))
            return
        self.count += 1
        if sample.path not in self.paths:
            self.paths.add(sample.path)
            self.sizes[sample.size] = self.sizes.get(sample.size, 0) + 1
        for name, value in sample.values.items():
            self._values.setdefault(name, []).append(value)
        self.sentences += sample.sentences
        for fact in sample.facts:
            self.facts.setdefault(fact, set()).add(sample.path)
        if sample.thumbnail is not None:
            self.thumbnails[sample.path] = sample.thumbnail
        self._add_counts(sample)

    def _add_counts(self, sample: Measured) -> None:
        target = sample.target
        self.ignored.update(target.ignored)
        for number, colour in target.colours.items():
            self.colours.setdefault(number, {}).setdefault(colour, sample.path)
        if target.counts is not None:
            if not self.counts.size:
                self.counts = self.images = np.zeros_like(target.counts)
            self.counts = self.counts + target.counts
            self.images = self.images + (target.counts > 0)

    def ranges(self) -> dict[str, tuple[float, float, float]]:
        """By name: smallest, median and largest value of a sample."""
        found = {}
        for name, values in self._values.items():
            found[name] = (min(values), float(np.median(values)), max(values))
        return found

    def mean(self, name: str) -> float:
        """The mean over the samples that have the value; NaN if none has."""
        return float(np.mean(self._values.get(name, [np.nan])))

    def share_above(self, name: str, limit: float) -> float:
        """The fraction of samples that have a larger value."""
        values = np.array(self._values.get(name, []))
        return float((values > limit).mean()) if values.size else 0.0

    def to_dict(self, counted: Sequence[str]) -> dict[str, Any]:
        """Plain values for a report.

        Args:
            counted: names of `counts`.
        """
        total = max(1, int(self.counts[: len(counted)].sum()))
        counts = {}
        if self.counts.any():
            for name, count, samples in zip(counted, self.counts.tolist(), self.images.tolist(), strict=False):
                counts[name] = {"count": count, "share": count / total, "samples": samples}
        return {
            "samples": self.count,
            "images": len(self.paths),
            "sizes": {f"{width}x{height}": n for (height, width), n in sorted(self.sizes.items())},
            "values": {name: list(numbers) for name, numbers in self.ranges().items()},
            "counts": counts,
        }
