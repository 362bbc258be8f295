"""Data sets of images with a mask file each; they differ in where the files lie and in what the ids mean."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.data.io import check_size, read_image, read_mask
from diffperc.protocols import Protocol
from diffperc.types import DatasetInfo


class MaskedFrames(PerceptionDataset):
    """Images with a class for every pixel.

    Attributes:
        name: as printed.
        class_of: the class that each id in a mask file stands for.
        ignored: ids in a mask file that are not counted.

    Args:
        split: ``train`` or ``val``.
        root: the data set's folder.
        protocols: by task, how it is evaluated.
        short_side: pixels; to predict, images are resized to it, None leaves them as they are.
        augment: albumentations transforms for training.
        needs: what the task asks for; there are masks alone.

    Raises:
        DataError: something is missing.
    """

    provides = ("mask",)
    name: ClassVar[str]
    class_of: ClassVar[Mapping[int, int]]
    ignored: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        split: Split,
        root: str,
        protocols: Mapping[str, Protocol],
        short_side: int | None = None,
        augment: Sequence[Any] = (),
        needs: Sequence[str] = ("mask",),
    ) -> None:
        self.split: Split = split
        self.augment = augment
        self._frames = self.list_frames(Path(root).expanduser())
        self.info = DatasetInfo(
            name=self.name, provides=self.provides, classes=self.classes, short_side=short_side, protocols=protocols
        )

    @abstractmethod
    def list_frames(self, root: Path) -> list[tuple[Path, Path]]:
        """Image and mask of each frame of the split.

        Raises:
            DataError: something is missing.
        """

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        image_path, mask_path = self._frames[index]
        image, mask = read_image(image_path), self.truth(index)
        check_size("the mask", mask_path, mask, image_path, image)
        return Sample(path=str(image_path), image=image, mask=mask)

    def truth(self, index: int, name: str = "mask") -> NDArray[np.uint8]:
        return read_mask(self._frames[index][1], self.class_of, self.ignored)
