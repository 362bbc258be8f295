"""NYU Depth v2 in the layout that VPD, Meta Prompts and their forerunners use (methods.md 1.3).

    root/train_list.txt, test_list.txt     one line a frame: image, depth, [focal length]
    root/sync/<scene>/rgb_*.jpg, sync_depth_*.png
    root/official_splits/test/<scene>/rgb_*.jpg, sync_depth_*.png

Paths in the lists are relative to the root, or to ``sync`` and ``official_splits/test`` as in the published lists.
Depth is 16-bit png in millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.data.io import check_size, read_depth, read_image, read_list
from diffperc.errors import DataError
from diffperc.protocols import Protocol
from diffperc.types import DatasetInfo

_LISTS = {"train": "train_list.txt", "val": "test_list.txt"}
_BASES = {"train": "sync", "val": "official_splits/test"}
_COUNTS_PER_METRE = 1000.0


class NYUv2(PerceptionDataset):
    """Indoor frames with metric depth and a scene name.

    Args:
        split: ``train`` or ``val`` (the official test frames).
        root: the folder above.
        protocols: by task, how it is evaluated.
        needs: what the task asks for; there is depth alone.
        max_depth: metres, the largest depth the network can express.
        scenes: scene names; a frame's label is the first one that occurs in "<folder>_<file>", as published.
        short_side: pixels; images are resized to it for the network, None leaves them as they are.
        augment: albumentations transforms for training.

    Raises:
        DataError: a folder, list or file is missing.
    """

    provides = ("depth",)

    def __init__(
        self,
        split: Split,
        root: str,
        protocols: Mapping[str, Protocol],
        needs: Sequence[str] = ("depth",),
        max_depth: float = 10.0,
        scenes: Sequence[str] = (),
        short_side: int | None = None,
        augment: Sequence[Any] = (),
    ) -> None:
        self.split: Split = split
        self.augment = augment
        self._root = Path(root).expanduser()
        self._frames = self._read_list()
        self.info = DatasetInfo(
            name="nyuv2",
            provides=self.provides,
            scenes=tuple(scenes),
            max_depth=max_depth,
            short_side=short_side,
            protocols=protocols,
        )

    def _read_list(self) -> list[tuple[Path, Path]]:
        holds = f"{_LISTS['train']}, {_LISTS['val']}, sync/ and official_splits/"
        frames = []
        for where, names in read_list("NYUv2", self._root, _LISTS[self.split], holds, "image and depth"):
            if len(names) < 2:
                raise DataError(f"{where}: expected 'image depth [focal]', found '{' '.join(names)}'.")
            frames.append((self._resolve(names[0]), self._resolve(names[1])))
        return frames

    def _resolve(self, name: str) -> Path:
        direct = self._root / name.lstrip("/")
        nested = self._root / _BASES[self.split] / name.lstrip("/")
        return direct if direct.is_file() or not nested.is_file() else nested

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        image_path, depth_path = self._frames[index]
        image, depth = read_image(image_path), self.truth(index)
        check_size("depth", depth_path, depth, image_path, image)
        return Sample(path=str(image_path), image=image, depth=depth, scene=self._scene(image_path))

    def truth(self, index: int, name: str = "depth") -> NDArray[np.float32]:
        return read_depth(self._frames[index][1], _COUNTS_PER_METRE)

    def _scene(self, image: Path) -> int:
        name = f"{image.parent.name}_{image.name}"
        return next((i for i, scene in enumerate(self.info.scenes) if scene in name), -1)
