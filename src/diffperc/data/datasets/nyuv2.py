"""NYU Depth v2 in the layout that VPD, Meta Prompts and their forerunners use (methods.md 1.3).

    root/train_list.txt, test_list.txt     one line per frame: image, depth, [focal length]
    root/sync/<scene>/rgb_*.jpg, sync_depth_*.png
    root/official_splits/test/<scene>/rgb_*.jpg, sync_depth_*.png

Paths in the lists are relative to the root, or to ``sync`` and ``official_splits/test`` as in the published lists.
Depth is 16-bit png in millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffperc.data.base import Split
from diffperc.data.datasets.paired import DepthDataset, read_pairs
from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.files.read import Listing
from diffperc.ranges import Depth

_LISTS = {"train": "train_list.txt", "val": "test_list.txt"}
_BASES = {"train": "sync", "val": "official_splits/test"}


class NYUv2(DepthDataset):
    """Indoor frames with metric depth and a scene name; see `DepthDataset`.

    A frame's label is the first scene name that occurs in "<folder>_<file>", as published. ``val`` is the official
    test frames.
    """

    name = "nyuv2"
    counts_per_metre = 1000.0

    def __init__(
        self,
        split: Split,
        root: str,
        max_depth: Depth = 10.0,
        scenes: Sequence[str] = (),
        diagnostics: Diagnostics = STOP,
    ) -> None:
        super().__init__(split, root, max_depth, scenes, diagnostics)

    def list_pairs(self, root: Path) -> list[tuple[Path, Path]]:
        nested, folders = root / _BASES[self.split], Listing()

        def locate(name: str, place: int, where: str) -> Path:
            direct, below = root / name.lstrip("/"), nested / name.lstrip("/")
            if direct not in folders and below in folders:
                return below
            return direct

        holds = f"{_LISTS['train']}, {_LISTS['val']}, sync/ and official_splits/"
        return read_pairs("NYUv2", root, _LISTS[self.split], holds, locate, self._diagnostics)

    def scene(self, image: Path) -> int:
        name = f"{image.parent.name}_{image.name}"
        for i, scene in enumerate(self.info.scenes):
            if scene in name:
                return i
        return -1
