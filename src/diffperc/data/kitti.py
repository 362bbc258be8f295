"""KITTI, the Eigen split, in the official folders (methods.md 2.1).

    root/eigen_train_list.txt, eigen_test_list.txt     one line a frame: image, depth, [focal length]
    root/raw/<date>/<drive>/image_02/data/*.png
    root/data_depth_annotated/[train|val/]<drive>/proj_depth/groundtruth/image_02/*.png

The published lists begin with ``/raw_data/`` and ``/data_depth_annotated/train/`` (or ``val/``), others with the date and
the drive. A drive's name is unique, so only the part from there on counts and the folders above it are looked for.
Depth is 16-bit png in 1/256 metre, 0 where no laser beam came back.

The frames' sizes differ by a few pixels; as published, 352 x 1216 are cut out of each: the lower edge, centred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import dropwhile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.data.io import check_size, read_depth, read_image, read_list
from diffperc.errors import DataError
from diffperc.protocols import Protocol
from diffperc.types import DatasetInfo

_LISTS = {"train": "eigen_train_list.txt", "val": "eigen_test_list.txt"}
_IMAGES = ("raw", "raw_data")
_DEPTHS = ("data_depth_annotated/train", "data_depth_annotated/val", "data_depth_annotated")
# what may stand before the date or the drive in a list
_ABOVE = {"raw", "raw_data", "data_depth_annotated", "train", "val"}
_COUNTS_PER_METRE = 256.0
_HEIGHT, _WIDTH = 352, 1216


class KITTI(PerceptionDataset):
    """Frames of a drive with sparse metric depth, which is never filled in.

    Args:
        split: ``train`` or ``val`` (Eigen's test frames).
        root: the folder above.
        protocols: by task, how it is evaluated.
        needs: what the task asks for; there is depth alone.
        max_depth: metres, the largest depth the network can express.
        short_side: pixels; images are resized to it for the network, None leaves them as they are.
        augment: albumentations transforms for training.

    Raises:
        DataError: a folder or list is missing, or a line of the list names no depth.
    """

    provides = ("depth",)

    def __init__(
        self,
        split: Split,
        root: str,
        protocols: Mapping[str, Protocol],
        needs: Sequence[str] = ("depth",),
        max_depth: float = 80.0,
        short_side: int | None = None,
        augment: Sequence[Any] = (),
    ) -> None:
        self.split: Split = split
        self.augment = augment
        self._root = Path(root).expanduser()
        self._frames = self._read_list()
        self.info = DatasetInfo(
            name="kitti", provides=self.provides, max_depth=max_depth, short_side=short_side, protocols=protocols
        )

    def _read_list(self) -> list[tuple[Path, Path]]:
        holds = f"{_LISTS['train']}, {_LISTS['val']}, raw/ and data_depth_annotated/"
        folders: dict[str, Path] = {}
        frames = []
        for where, names in read_list("KITTI", self._root, _LISTS[self.split], holds, "image and depth"):
            if len(names) < 2:
                raise DataError(f"{where}: expected 'image depth [focal]', found '{' '.join(names)}'.")
            if names[1] == "None":
                raise DataError(
                    f"{where}: names no depth ('None'), as 45 of Eigen's 697 test frames have none. Take such lines out of "
                    "the list; scores are published on the other 652."
                )
            frames.append(
                (self._find(names[0], _IMAGES, folders, where), self._find(names[1], _DEPTHS, folders, where))
            )
        return frames

    def _find(self, name: str, places: Sequence[str], folders: dict[str, Path], where: str) -> Path:
        """The file of a list's `name`; its folder is below the first of `places` that has it."""
        path = PurePosixPath(*dropwhile(_ABOVE.__contains__, PurePosixPath(name.lstrip("/")).parts))
        folder = str(path.parent)
        if folder not in folders:  # once a drive: a look for each of 46,000 files is slow on a network disk
            found = [self._root / place / folder for place in places if (self._root / place / folder).is_dir()]
            if not found:
                raise DataError(
                    f"{where}: there is no '{folder}' in {self._root}, neither in {' nor in '.join(places)}. Download this "
                    "drive, or take its lines out of the list."
                )
            folders[folder] = found[0]
        return folders[folder] / path.name

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        image_path, depth_path = self._frames[index]
        image, depth = read_image(image_path), read_depth(depth_path, _COUNTS_PER_METRE)
        check_size("depth", depth_path, depth, image_path, image)
        return Sample(path=str(image_path), image=_crop(image, image_path), depth=_crop(depth, depth_path))

    def truth(self, index: int, name: str = "depth") -> NDArray[np.float32]:
        path = self._frames[index][1]
        return _crop(read_depth(path, _COUNTS_PER_METRE), path)


def _crop(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    if height < _HEIGHT or width < _WIDTH:
        raise DataError(
            f"{path}: is {width}x{height} pixels, and {_WIDTH}x{_HEIGHT} are cut out of each frame of KITTI. Replace it by "
            "the file as published."
        )
    top, left = height - _HEIGHT, (width - _WIDTH) // 2
    return pixels[top:, left : left + _WIDTH]
