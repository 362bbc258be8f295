"""Data sets of images with one truth file each; they differ in where the files lie and in what their numbers mean."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.data.diagnostics import problem
from diffperc.data.formats.images import Listing, check_size, read_depth, read_image, read_list, read_mask
from diffperc.data.shared_list import Packed
from diffperc.protocols import Protocol
from diffperc.types import DatasetInfo


class Frames(PerceptionDataset):
    """Images with a truth for every pixel.

    Attributes:
        name: as printed.

    Args:
        split: ``train`` or ``val``.
        root: the data set's folder.
        protocols: by task, how it is evaluated.
        short_side: pixels; to predict, images are resized to it, None leaves them as they are.
        augment: albumentations transforms for training.
        needs: what the task asks for; there is one truth alone.

    Raises:
        DataError: something is missing.
    """

    name: ClassVar[str]

    def __init__(
        self,
        split: Split,
        root: str,
        protocols: Mapping[str, Protocol],
        short_side: int | None = None,
        augment: Sequence[Any] = (),
        needs: Sequence[str] = (),
    ) -> None:
        self.split: Split = split
        self.augment = augment
        self._frames = Packed(self.list_frames(Path(root).expanduser()))
        self.info = DatasetInfo(
            name=self.name, provides=self.provides, classes=self.classes, short_side=short_side, protocols=protocols
        )

    @abstractmethod
    def list_frames(self, root: Path) -> list[tuple[Path, Path]]:
        """Image and truth of each frame of the split.

        Raises:
            DataError: something is missing.
        """

    @abstractmethod
    def read(self, path: Path) -> NDArray[Any]:
        """The truth (H, W) of a file."""

    def cut(self, pixels: NDArray[Any], path: Path) -> NDArray[Any]:
        """The part of an image or truth that is used; by default all of it."""
        return pixels

    def scene(self, image: Path) -> int:
        """Index of the scene label of an image; -1 if there is none."""
        return -1

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        image_path, truth_path = self._frames[index]
        image, truth = read_image(image_path), self.read(truth_path)
        name = self.provides[0]
        check_size(name, truth_path, truth, image_path, image)
        image = self.cut(image, image_path)
        truths: dict[str, Any] = {name: self.cut(truth, truth_path)}
        return Sample(path=str(image_path), image=image, scene=self.scene(image_path), **truths)

    def truth(self, index: int, name: str = "") -> NDArray[Any]:
        path = self._frames[index][1]
        return self.cut(self.read(path), path)


class MaskedFrames(Frames):
    """Images with a class for every pixel; see `Frames`.

    Attributes:
        class_of: the class that each id in a mask file stands for.
        ignored: ids in a mask file that are not counted.
    """

    provides = ("mask",)
    class_of: ClassVar[Mapping[int, int]]
    ignored: ClassVar[tuple[int, ...]]

    def read(self, path: Path) -> NDArray[np.uint8]:
        return read_mask(path, self.class_of, self.ignored)


class DepthFrames(Frames):
    """Images with metric depth from 16-bit files; see `Frames`.

    Attributes:
        counts_per_metre: of the numbers in the files.

    Args:
        max_depth: metres, the largest depth the network can express.
        scenes: scene labels, for strategies that read one.
        kwargs: see `Frames`.
    """

    provides = ("depth",)
    counts_per_metre: ClassVar[float]

    def __init__(self, *args: Any, max_depth: float, scenes: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.info = dataclasses.replace(self.info, max_depth=max_depth, scenes=tuple(scenes))

    def read(self, path: Path) -> NDArray[np.float32]:
        return read_depth(path, self.counts_per_metre)


def read_frames(
    dataset: str, root: Path, name: str, holds: str, locate: Callable[[str, int, str], Path | None]
) -> list[tuple[Path, Path]]:
    """Image and depth of each line ``image depth [focal length]`` of a list.

    Args:
        dataset: as its class is called.
        root: the data set's folder.
        name: of the list in it.
        holds: what the folder should hold.
        locate: from a name in the list, its place in the line, and where the line stands, to the file; None for what is
            said to be missing already.

    Raises:
        DataError: a line names less or more than there is.
    """
    listing, frames = Listing(), []
    for where, names in read_list(dataset, root, name, holds, "image and depth"):
        if len(names) < 2:
            problem(f"{where}: expected 'image depth [focal]', found '{' '.join(names)}'.")
            continue
        found = [path for i in range(2) if (path := locate(names[i], i, where)) is not None]
        missing = [path for path in found if path not in listing]
        for path in missing:
            problem(f"{where}: there is no file '{path}'. Complete the data set, or take the line out of the list.")
        if len(found) == 2 and not missing:
            frames.append((found[0], found[1]))
    return frames
