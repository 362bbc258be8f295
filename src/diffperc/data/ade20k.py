"""ADE20K with 150 classes, as of the scene parsing challenge of 2016 (methods.md 1.1).

    root/images/training/*.jpg, validation/*.jpg
    root/annotations/training/*.png, validation/*.png      0 = other, 1-150 = the classes

The root is the folder ``ADEChallengeData2016`` or the one that holds it. Nothing is counted where a pixel is "other": class
ids are those of the files less one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.data.io import check_root, check_size, pair_files, read_image, read_mask
from diffperc.protocols import Protocol
from diffperc.types import DatasetInfo

# the first of each class's names in objectInfo150.txt
CLASSES = tuple(
    resources.files("diffperc.data").joinpath("resources/ade20k_classes.txt").read_text(encoding="utf-8").splitlines()
)
_OTHER = 0
_CLASS_OF = {i + 1: i for i in range(len(CLASSES))}
_FOLDERS = {"train": "training", "val": "validation"}
_INNER = "ADEChallengeData2016"


class ADE20K(PerceptionDataset):
    """Photographs of every kind of place with a class for every pixel.

    Args:
        split: ``train`` or ``val``.
        root: the folder above.
        protocols: by task, how it is evaluated.
        short_side: pixels; images are resized to it for the network, None leaves them as they are.
        augment: albumentations transforms for training.
        needs: what the task asks for; there are masks alone.

    Raises:
        DataError: a folder is missing or empty, or an image or a mask has no counterpart.
    """

    provides = ("mask",)
    classes = CLASSES

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
        folder = Path(root).expanduser()
        check_root("ADE20K", folder, f"images/ and annotations/, or {_INNER}/ with them")
        folder = folder / _INNER if (folder / _INNER).is_dir() else folder
        part = _FOLDERS[split]
        self._frames = pair_files(folder / "images" / part, ".jpg", folder / "annotations" / part, ".png")
        self.info = DatasetInfo(
            name="ade20k", provides=self.provides, classes=CLASSES, short_side=short_side, protocols=protocols
        )

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        image_path, mask_path = self._frames[index]
        image, mask = read_image(image_path), self.truth(index)
        check_size("the mask", mask_path, mask, image_path, image)
        return Sample(path=str(image_path), image=image, mask=mask)

    def truth(self, index: int, name: str = "mask") -> NDArray[np.uint8]:
        return read_mask(self._frames[index][1], _CLASS_OF, ignore=(_OTHER,))
