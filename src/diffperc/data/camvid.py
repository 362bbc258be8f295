"""CamVid, street scenes with 11 classes, in the layout of the SegNet tutorial.

    root/train.txt, val.txt      one line a frame: image and mask, or the file's name without extension
    root/train/*, val/*          images, png or jpg
    root/trainannot/*.png, valannot/*.png      class ids 0-10, 11 = void

The published lists name absolute paths such as ``/SegNet/CamVid/train/x.png``: the last two components count, and the
extension may differ from the file's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.data.io import check_size, read_image, read_list, read_mask
from diffperc.errors import DataError
from diffperc.protocols import Protocol
from diffperc.types import DatasetInfo

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "traffic sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
_VOID = 11
_SUFFIXES = (".png", ".jpg", ".jpeg")


class CamVid(PerceptionDataset):
    """Frames of a drive with a class for every pixel.

    Args:
        split: ``train`` or ``val``.
        root: the folder above.
        protocols: by task, how it is evaluated.
        short_side: pixels; images are resized to it for the network, None leaves them as they are.
        augment: albumentations transforms for training.
        needs: what the task asks for; there are masks alone.

    Raises:
        DataError: a folder, list or file is missing.
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
        self._root = Path(root).expanduser()
        self._frames = self._read_list()
        self.info = DatasetInfo(
            name="camvid", provides=self.provides, classes=CLASSES, short_side=short_side, protocols=protocols
        )

    def _read_list(self) -> list[tuple[Path, Path]]:
        holds = "train.txt, val.txt, train/, trainannot/, val/ and valannot/"
        listed: dict[str, dict[str, Path]] = {}
        frames = []
        for where, names in read_list("CamVid", self._root, f"{self.split}.txt", holds, "image and mask"):
            if len(names) > 2:
                raise DataError(f"{where}: expected 'image mask', found '{' '.join(names)}'.")
            image, mask = (_parts(n) for n in (names[0], names[-1]))
            if len(names) == 1:  # that name in both folders
                image, mask = ("", image[1]), ("", mask[1])
            frames.append(
                (self._find(image, self.split, listed, where), self._find(mask, f"{self.split}annot", listed, where))
            )
        return frames

    def _find(self, name: tuple[str, str], usual: str, listed: dict[str, dict[str, Path]], where: str) -> Path:
        """The file of a (folder, name without extension); `usual` is the folder of a bare name."""
        folder = self._root / (name[0] or usual)
        if folder.name not in listed:
            if not folder.is_dir():
                raise DataError(f"{where}: there is no folder '{folder.name}' in {self._root}.")
            files = (p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)
            listed[folder.name] = {p.stem: p for p in files}
        if name[1] not in listed[folder.name]:
            raise DataError(
                f"{where}: there is no '{name[1]}' in {folder}. Complete the folder, or take the line out of the list."
            )
        return listed[folder.name][name[1]]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        image_path, mask_path = self._frames[index]
        image, mask = read_image(image_path), self.truth(index)
        check_size("the mask", mask_path, mask, image_path, image)
        return Sample(path=str(image_path), image=image, mask=mask)

    def truth(self, index: int, name: str = "mask") -> NDArray[np.uint8]:
        return read_mask(self._frames[index][1], len(CLASSES), ignore=(_VOID,))


def _parts(name: str) -> tuple[str, str]:
    """The folder's name, empty if there is none, and the file's without extension."""
    path = PurePosixPath(name)
    return path.parent.name, path.stem if path.suffix.lower() in _SUFFIXES else path.name
