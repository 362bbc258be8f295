"""The contract of a kind of ground truth; the kinds themselves are in `diffperc.targets`.

A data set gets the target of its task, and everything that differs between targets is a method of the target. Data sets,
preprocessing, training and inspection therefore do not list the targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from diffperc.types.data import DatasetInfo, Sample

if TYPE_CHECKING:
    from torch import Tensor

SampleKind = Literal["image", "expression", "person"]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class FolderOptions:
    """How `dataset=folder` is to read its files.

    Attributes:
        root: the folder.
        classes: names in the order of their ids, by id, or the name of a yaml file with either; None: ``classes.yaml``.
        ignore: ids in masks that are not counted.
        depth_scale: counts per metre in depth images of whole numbers.
        files: all files of ground truth.
    """

    root: Path
    classes: Any = None
    ignore: tuple[int, ...] = (255,)
    depth_scale: float = 1000.0
    files: tuple[Path, ...] = ()


class FolderReader(NamedTuple):
    """How the files of a target are read.

    Attributes:
        read: a file to the array of its target.
        classes: names of the classes, in the order of their ids.
        problem: what the user must do before the data can be used; empty: nothing. `inspect` goes on without it.
        draft: of the file that is missing then.
    """

    read: Callable[[Path], NDArray[Any]]
    classes: tuple[str, ...] = ()
    problem: str = ""
    draft: str = ""


@dataclass(frozen=True)
class Statistics:
    """What one sample's ground truth contains, in a few numbers.

    Attributes:
        values: by name, such as ``depth, mean m``.
        counts: (K,) how often each of the names of `Target.counted` occurs: pixels of a class, labelled keypoints.
        ignored: pixels by the id in the file that are not counted.
        colours: RGB by the id in the file, of a palette image.
    """

    values: dict[str, float] = field(default_factory=dict)
    counts: NDArray[np.int64] | None = None
    ignored: dict[int, int] = field(default_factory=dict)
    colours: dict[int, tuple[int, ...]] = field(default_factory=dict)


class Panel(NamedTuple):
    """A drawing of a sample's ground truth with its title; legend: names and their RGB; caption: a line above it."""

    title: str
    picture: Picture
    legend: Sequence[tuple[str, tuple[int, int, int]]] = ()
    caption: str = ""


class Target(ABC):
    """One kind of ground truth.

    Attributes:
        name: under which samples, and batches of a `DenseTarget`, hold it.
        sample: what one sample is: an image, a sentence about an image, or a person in an image.
        counted: what `Statistics.counts` counts, as a heading: ``class`` or ``keypoint``; empty: nothing.
    """

    name: ClassVar[str]
    sample: ClassVar[SampleKind] = "image"
    counted: ClassVar[str] = ""

    @abstractmethod
    def statistics(self, sample: Sample, info: DatasetInfo) -> Statistics:
        """Numbers of one sample, for `inspect`."""

    def counted_names(self, info: DatasetInfo) -> tuple[str, ...]:
        """Names of `Statistics.counts`."""
        return ()

    def problems(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        """Sentences about what cannot be trained on or scored, from an `inspection.Summary` of a split."""
        return []

    def notes(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        """Sentences about what can be used but may not be intended, from an `inspection.Summary` of a split."""
        return []

    @abstractmethod
    def panel(self, sample: Sample, info: DatasetInfo) -> Panel:
        """The ground truth drawn over the sample's image, at the image's size."""


class DenseTarget(Target):
    """Ground truth with a value for every pixel.

    Attributes:
        dims: axes of its tensor in a batch, such as ``B 1 h w``.
        folder: where `dataset=folder` looks for its files, below the root; empty: it has no files.
        column: under which a table of `dataset=folder` names its file, such as ``mask`` (or ``mask_file_name``).
        suffixes: endings of its files' names.
        rendered: whether `dataset=scenes` has it for images, see `from_scene`.
        turns: whether mirroring changes values, see `mirrored`.
        padding: the value of pixels that are not counted, with which augmentation must pad.
    """

    dims: ClassVar[str]
    folder: ClassVar[str] = ""
    column: ClassVar[str] = ""
    suffixes: ClassVar[tuple[str, ...]] = (".png",)
    rendered: ClassVar[bool] = False
    turns: ClassVar[bool] = False
    padding: ClassVar[int] = 0

    def from_scene(self, rendered: Any) -> NDArray[Any]:
        """The array of a `scenes.Rendered`; asked for where `rendered` is True."""
        raise NotImplementedError(f"{type(self).__name__} is not rendered")

    def folder_reader(self, options: FolderOptions) -> FolderReader:
        """How files of `folder` are read; asked for where `folder` is given.

        Raises:
            DataError: a file that is needed to read them is missing.
            ConfigError: an option that is needed to read them is missing.
        """
        raise NotImplementedError(f"{type(self).__name__} has no files")

    def mirrored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Convert an array whose columns were reversed to the values of the mirrored scene: x of a vector changes sign."""
        return values

    @abstractmethod
    def tensor(self, values: NDArray[Any]) -> Tensor:
        """An array of a sample as the tensor of one image, `dims` without the batch axis."""

    def labels(self, values: Tensor, sample: Sample, count: int) -> Tensor | None:
        """(count,) bool: which of the data set's `count` classes occur after the crop; None: there are no classes."""
        return None
