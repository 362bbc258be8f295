"""The protocol of a data set: raw samples by number, without augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray
from torch.utils.data import Dataset

from diffperc.types import DatasetInfo, Sample, Target

Split = Literal["train", "val"]


class PerceptionDataset(Dataset[Sample], ABC):
    """Raw samples of one split.

    The constructor checks that the data is there, so that a wrong path is reported before weights are read.

    Attributes:
        provides: names of the targets that its samples carry; of several, a sample carries the one that was asked for.
        any_target: whether the constructor takes a ``target``, which decides what a sample is: an image, a referent with its
            expressions (in validation one sample per expression), or a person.
        classes: names of its semantic classes, where they are the same for all its data.
        info: what it offers.
        split: ``train`` or ``val``.
        one_size: whether all images, and their ground truth, are of one size as stored.
        supplied: arguments that come from the program and not from a configuration.
    """

    supplied: ClassVar[tuple[str, ...]] = ("split", "target", "diagnostics")
    provides: ClassVar[tuple[str, ...]] = ()
    any_target: ClassVar[bool] = False
    classes: ClassVar[tuple[str, ...]] = ()
    info: DatasetInfo
    split: Split
    one_size: bool = True

    @classmethod
    def offers(cls, target: Target) -> bool:
        """Whether its samples can carry this kind of ground truth."""
        return target.name in cls.provides

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """One sample.

        Raises:
            DataError: a file is missing, unreadable, or does not fit its image.
        """

    def target(self, index: int) -> NDArray[Any]:
        """The dense ground truth of a sample alone, for statistics; cheaper than the sample where that is possible."""
        return next(iter(self[index].targets.values()))

    def keypoint_annotations(self) -> dict[str, Any]:
        """For data with keypoints: all annotations of this split in COCO's format (images, annotations, categories)."""
        raise NotImplementedError(f"{self.info.name} has no keypoints")
