"""Looking at every sample of a data set: what is in it, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from diffperc.data.base import PerceptionDataset, Sample
from diffperc.errors import DataError

_TRUTHS = ("depth", "mask", "referent")


@dataclass(frozen=True)
class Look:
    """What one sample holds, in a few numbers.

    Attributes:
        index: of the sample.
        path: of its image.
        problems: sentences; then there is nothing else.
        size: (H, W) of the image.
        values: by name: brightness and contrast of the image in [0, 255]; of depth the measured share and least, mean and
            largest metres; of a referent its share of the image and the words of its expressions; of a person the labelled
            keypoints and the box's area in pixels.
        pixels: (256,) how many pixels have each class id.
        keypoints: (K,) 1 where a joint is labelled.
    """

    index: int
    path: str = ""
    problems: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    values: Mapping[str, float] = field(default_factory=dict)
    pixels: NDArray[np.int64] | None = None
    keypoints: NDArray[np.int64] | None = None


class Examined(Dataset[Look]):
    """A data set whose samples are looked at instead of learned from; a bad one is a sentence and stops nothing."""

    def __init__(self, dataset: PerceptionDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Look:
        try:
            return _look(index, self.dataset[index])
        except DataError as error:
            return Look(index, problems=(error.sentence, *self._truth_too(index, error.sentence)))

    def _truth_too(self, index: int, said: str) -> list[str]:
        """What is wrong with the truths of a sample whose image was wrong already."""
        try:
            for name in _TRUTHS:
                self.dataset.truth(index, name)
        except DataError as error:
            return [error.sentence] if error.sentence != said else []
        except (AttributeError, TypeError):  # a data set of other truths
            return []
        return []


def _look(index: int, sample: Sample) -> Look:
    values: dict[str, float] = {"brightness": float(sample.image.mean()), "contrast": float(sample.image.std())}
    pixels = keypoints = None
    if sample.depth is not None:
        measured = sample.depth[sample.depth > 0]
        values["depth, measured share"] = measured.size / sample.depth.size
        if measured.size:
            numbers = {"least": measured.min(), "mean": measured.mean(dtype=np.float64), "largest": measured.max()}
            values |= {f"depth, {name} m": float(number) for name, number in numbers.items()}
    if sample.mask is not None:
        pixels = np.bincount(sample.mask.reshape(-1), minlength=256)
    if sample.referent is not None:
        values["referent, share of the image"] = float(sample.referent.mean())
        values["expressions"] = len(sample.expressions)
        values["words an expression"] = float(np.mean([len(e.split()) for e in sample.expressions]))
    if sample.person is not None:
        keypoints = np.array([v > 0 for *_, v in sample.person.keypoints], dtype=np.int64)
        values["labelled keypoints"] = int(keypoints.sum())
        values["box, pixels"] = sample.person.box[2] * sample.person.box[3]
    size = (sample.image.shape[0], sample.image.shape[1])
    return Look(index, sample.path, (), size, values, pixels, keypoints)


class Summary:
    """What is known of a split so far.

    Attributes:
        count: good samples.
        problems: sentences about the others.
        sizes: how many images have each (H, W).
        paths: of the images.
        pixels: (256,) of each class id; `images` in how many images it occurs.
        keypoints: (K,) how often each joint is labelled.
    """

    def __init__(self) -> None:
        self.count = 0
        self.problems: list[str] = []
        self.sizes: dict[tuple[int, int], int] = {}
        self.paths: set[str] = set()
        self.pixels, self.images = np.zeros(256, np.int64), np.zeros(256, np.int64)
        self.keypoints: NDArray[np.int64] | None = None
        self._values: dict[str, list[float]] = {}

    def add(self, looks: Iterable[Look]) -> None:
        """Take in further samples."""
        for look in looks:
            if look.problems:
                self.problems += [p for p in look.problems if p not in self.problems]
                continue
            self.count += 1
            if look.path not in self.paths:
                self.paths.add(look.path)
                self.sizes[look.size] = self.sizes.get(look.size, 0) + 1
            for name, value in look.values.items():
                self._values.setdefault(name, []).append(value)
            if look.pixels is not None:
                self.pixels += look.pixels
                self.images += look.pixels > 0
            if look.keypoints is not None:
                self.keypoints = look.keypoints + (0 if self.keypoints is None else self.keypoints)

    def ranges(self) -> dict[str, tuple[float, float, float]]:
        """By name: least, median and largest value of a sample."""
        found = {}
        for name, values in self._values.items():
            found[name] = (min(values), float(np.median(values)), max(values))
        return found

    def share_above(self, name: str, limit: float) -> float:
        """Of the samples, how many have a larger value."""
        values = self._values.get(name, [])
        return float(np.mean([v > limit for v in values])) if values else 0.0

    def to_dict(self, classes: Iterable[str]) -> dict[str, Any]:
        """Plain values for a report."""
        total = max(1, int(self.pixels[:255].sum()))
        return {
            "samples": self.count,
            "images": len(self.paths),
            "sizes": {f"{w}x{h}": n for (h, w), n in sorted(self.sizes.items())},
            "values": {name: list(numbers) for name, numbers in self.ranges().items()},
            "classes": {
                name: {"share": int(self.pixels[i]) / total, "images": int(self.images[i])}
                for i, name in enumerate(classes)
                if self.pixels.any()
            },
            "keypoints": None if self.keypoints is None else self.keypoints.tolist(),
        }
