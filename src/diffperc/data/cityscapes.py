"""Cityscapes, the finely annotated street scenes with the 19 classes that are scored (methods.md 2.2).

    root/leftImg8bit/train/<city>/<frame>_leftImg8bit.png, val/...
    root/gtFine/train/<city>/<frame>_gtFine_labelIds.png, val/...

The files hold the 34 official ids; the others of them, such as the car's own bonnet, are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.data.io import check_root, check_size, pair_files, read_image, read_mask
from diffperc.protocols import Protocol
from diffperc.types import DatasetInfo

# by the id in the files
_NAMES = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
CLASSES = tuple(_NAMES.values())
_CLASS_OF = {label: i for i, label in enumerate(_NAMES)}
# 255 is -1 (licence plate) in eight bits
_IGNORED = (*(i for i in range(34) if i not in _NAMES), 255)


class Cityscapes(PerceptionDataset):
    """Frames of drives through German cities with a class for every pixel.

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
        check_root("Cityscapes", folder, "leftImg8bit/ and gtFine/")
        images, masks = folder / "leftImg8bit" / split, folder / "gtFine" / split
        self._frames = pair_files(images, "_leftImg8bit.png", masks, "_gtFine_labelIds.png")
        self.info = DatasetInfo(
            name="cityscapes", provides=self.provides, classes=CLASSES, short_side=short_side, protocols=protocols
        )

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        image_path, mask_path = self._frames[index]
        image, mask = read_image(image_path), self.truth(index)
        check_size("the mask", mask_path, mask, image_path, image)
        return Sample(path=str(image_path), image=image, mask=mask)

    def truth(self, index: int, name: str = "mask") -> NDArray[np.uint8]:
        return read_mask(self._frames[index][1], _CLASS_OF, ignore=_IGNORED)
