"""The protocol of a data set: raw samples by number, without augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from diffperc.types import DatasetInfo, Person

if TYPE_CHECKING:
    from diffperc.preprocessing.person_crop import PersonCrop

Split = Literal["train", "val"]


@dataclass(frozen=True)
class Sample:
    """One image with its truths, as stored.

    Attributes:
        path: the image file, or a name.
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 metres, 0 = no measurement.
        mask: (H, W) uint8 class ids.
        scene: index into the data set's scenes, -1 unknown.
        expressions: sentences that each name the referent; training draws one.
        referent: (H, W) uint8, 1 where the expressions point.
        category: the referent's index into the data set's classes, -1 unknown.
        person: whose keypoints are sought.
        caption: a sentence about the whole image.
    """

    path: str
    image: NDArray[np.uint8]
    depth: NDArray[np.float32] | None = None
    mask: NDArray[np.uint8] | None = None
    scene: int = -1
    expressions: tuple[str, ...] = ()
    referent: NDArray[np.uint8] | None = None
    category: int = -1
    person: Person | None = None
    caption: str | None = None


class PerceptionDataset(Dataset[Sample], ABC):
    """Raw samples of one split.

    The constructor checks that the data is there, so that a wrong path is reported before weights are read.

    What a sample is follows from the task, whose `needs` the constructor gets: an image (depth, mask), a referent with
    its expressions (expression; in validation one sample a sentence), or a person (keypoints).

    Attributes:
        provides: which truths it has, of ``depth``, ``mask``, ``expression``, ``keypoints``.
        classes: names of its semantic classes, where they are the same for all its data.
        info: what it offers.
        split: ``train`` or ``val``.
        augment: albumentations transforms for training, in order.
        person_crop: how persons are cropped, where samples are persons.
        one_size: whether all samples are of one size in evaluation, and can share a batch.
    """

    provides: ClassVar[tuple[str, ...]]
    classes: ClassVar[tuple[str, ...]] = ()
    info: DatasetInfo
    split: Split
    augment: Sequence[Any] = ()
    person_crop: PersonCrop | None = None
    one_size: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """One sample.

        Raises:
            DataError: a file is missing, unreadable, or does not fit its image.
        """

    def keypoint_truth(self) -> dict[str, Any]:
        """For data with keypoints: the whole truth of this split in COCO's format (images, annotations, categories)."""
        raise NotImplementedError(f"{self.info.name} has no keypoints")

    def truth(self, index: int, name: str) -> NDArray[Any]:
        """One truth alone (``depth``, ``mask`` or ``referent``), for statistics; cheaper where that is possible."""
        found: NDArray[Any] = getattr(self[index], name)
        return found
