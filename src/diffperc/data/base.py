"""The interface of a data set: raw samples by index, without augmentation."""

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
        provides: names of the targets that its samples can hold; a sample holds the requested one.
        any_target: whether the constructor takes a ``target``, which decides what a sample is: an image, a referent with its
            expressions (in validation one sample per expression), or a person.
        classes: names of its semantic classes, where they are the same for all its data.
        info: classes, scenes, keypoints and the depth range.
        split: ``train`` or ``val``.
        one_size: whether all images and their ground truth are stored in one size.
        supplied: arguments that the program passes, not the configuration.
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
        """Whether its samples can hold this kind of ground truth."""
        return target.name in cls.provides

    @classmethod
    def not_read(cls, target: Target) -> tuple[str, ...]:
        """Options of the constructor that have no meaning for this kind of ground truth."""
        return ()

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
        """The dense ground truth of a sample alone, for statistics; without reading the image where possible."""
        return next(iter(self[index].targets.values()))

    def keypoint_annotations(self) -> dict[str, Any]:
        """For data with keypoints: all annotations of this split in COCO's format (images, annotations, categories)."""
        raise NotImplementedError(f"{self.info.name} has no keypoints")
