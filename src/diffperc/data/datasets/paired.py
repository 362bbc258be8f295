"""Data sets of images with one ground-truth file each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Split
from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.lists import read_list
from diffperc.data.shared_list import SharedList
from diffperc.files.images import check_size, read_depth, read_image, read_mask
from diffperc.files.read import Listing
from diffperc.types import DatasetInfo, Sample


class PairedDataset(PerceptionDataset):
    """Images with a value for every pixel.

    Attributes:
        name: the printed name.

    Args:
        split: ``train`` or ``val``.
        root: the data set's folder.
        max_depth: for depth, the largest value in metres that the network can express.
        scenes: scene labels, for strategies that use one.
        diagnostics: collects problems.

    Raises:
        DataError: something is missing.
    """

    name: ClassVar[str]

    def __init__(
        self,
        split: Split,
        root: str,
        max_depth: float | None = None,
        scenes: Sequence[str] = (),
        diagnostics: Diagnostics = STOP,
    ) -> None:
        self.split: Split = split
        self._diagnostics = diagnostics
        self._pairs = SharedList(self.list_pairs(Path(root).expanduser()))
        self.info = DatasetInfo(name=self.name, classes=self.classes, scenes=tuple(scenes), max_depth=max_depth)

    @abstractmethod
    def list_pairs(self, root: Path) -> list[tuple[Path, Path]]:
        """Image and ground truth of each frame of the split.

        Raises:
            DataError: something is missing.
        """

    @abstractmethod
    def read(self, path: Path) -> NDArray[Any]:
        """The ground truth (H, W) of a file."""

    def cut(self, pixels: NDArray[Any], path: Path) -> NDArray[Any]:
        """The part of an image or of its ground truth that is used; by default all of it."""
        return pixels

    def scene(self, image: Path) -> int:
        """Index of the scene label of an image; -1 if there is none."""
        return -1

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        image_path, target_path = self._pairs[index]
        image, values = read_image(image_path), self.read(target_path)
        name = self.provides[0]
        check_size(name, target_path, values, image_path, image)
        image = self.cut(image, image_path)  # first: if both files have a wrong size, the error names the image
        return Sample(
            str(image_path),
            image,
            {name: self.cut(values, target_path)},
            scene=self.scene(image_path),
            files=(image_path, target_path),
        )

    def target(self, index: int) -> NDArray[Any]:
        path = self._pairs[index][1]
        return self.cut(self.read(path), path)


class MaskDataset(PairedDataset):
    """Images with a class for every pixel; see `PairedDataset`.

    Attributes:
        class_of: the class that each id in a mask file stands for.
        ignored: ids in a mask file that are not counted.
    """

    provides = ("mask",)
    class_of: ClassVar[Mapping[int, int]]
    ignored: ClassVar[tuple[int, ...]]

    def read(self, path: Path) -> NDArray[np.uint8]:
        return read_mask(path, self.class_of, self.ignored)


class DepthDataset(PairedDataset):
    """Images with metric depth from 16-bit files; see `PairedDataset`.

    Attributes:
        counts_per_metre: of the numbers in the files.
    """

    provides = ("depth",)
    counts_per_metre: ClassVar[float]

    def read(self, path: Path) -> NDArray[np.float32]:
        return read_depth(path, self.counts_per_metre)


def read_pairs(
    dataset: str,
    root: Path,
    name: str,
    holds: str,
    locate: Callable[[str, int, str], Path | None],
    diagnostics: Diagnostics,
) -> list[tuple[Path, Path]]:
    """Image and depth of each line ``image depth [focal length]`` of a list.

    Args:
        dataset: the name of its class.
        root: the data set's folder.
        name: the file name of the list.
        holds: what the folder should hold.
        locate: from a name in the list, its position in the line and the place of the line, to the file; None if it has
            been reported as missing already.
        diagnostics: collects lines that name too little or missing files.
    """
    on_disk, pairs = Listing(), []
    for where, names in read_list(dataset, root, name, holds, "image and depth", diagnostics):
        if len(names) < 2:
            diagnostics.problem(f"{where}: expected 'image depth [focal]', found '{' '.join(names)}'.")
            continue
        found = []
        for path in (locate(names[0], 0, where), locate(names[1], 1, where)):
            if path is None:
                continue
            if path in on_disk:
                found.append(path)
            else:
                diagnostics.problem(
                    f"{where}: there is no file '{path}'. Complete the data set, or remove the line from the list."
                )
        if len(found) == 2:
            pairs.append((found[0], found[1]))
    return pairs
