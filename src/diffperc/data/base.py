"""The protocol of a data set: raw samples by number, without augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from diffperc.types import DatasetInfo

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
        caption: a sentence.
    """

    path: str
    image: NDArray[np.uint8]
    depth: NDArray[np.float32] | None = None
    mask: NDArray[np.uint8] | None = None
    scene: int = -1
    caption: str | None = None


class PerceptionDataset(Dataset[Sample], ABC):
    """Raw samples of one split.

    The constructor checks that the data is there, so that a wrong path is reported before weights are read.

    Attributes:
        info: what it offers.
        split: ``train`` or ``val``.
        augment: albumentations transforms for training, in order.
    """

    info: DatasetInfo
    split: Split
    augment: Sequence[Any] = ()

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """One sample.

        Raises:
            DataError: a file is missing, unreadable, or does not fit its image.
        """

    def depth(self, index: int) -> NDArray[np.float32]:
        """The depth truth alone, for statistics; cheaper than the sample where that is possible."""
        depth = self[index].depth
        assert depth is not None
        return depth
