"""KITTI, the Eigen split, in the official folders (methods.md 2.1).

    root/eigen_train_list.txt, eigen_test_list.txt     one line per frame: image, depth, [focal length]
    root/raw/<date>/<drive>/image_02/data/*.png
    root/data_depth_annotated/[train|val/]<drive>/proj_depth/groundtruth/image_02/*.png

The published lists begin with ``/raw_data/`` and ``/data_depth_annotated/train/`` (or ``val/``), others with the date and
the drive. A drive's name is unique, so only the rest of the path counts, and the folders above it are searched for.
Depth is 16-bit png in 1/256 metre, 0 where no laser beam came back.

The frames' sizes differ by a few pixels; as published, 352 x 1216 pixels are cut out of each, at the lower edge, centred.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import dropwhile
from pathlib import Path, PurePosixPath
from typing import Any

from numpy.typing import NDArray

from diffperc.data.base import Split
from diffperc.data.datasets.paired import DepthDataset, read_pairs
from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.errors import DataError
from diffperc.ranges import Depth

_LISTS = {"train": "eigen_train_list.txt", "val": "eigen_test_list.txt"}
_PLACES = (
    ("raw", "raw_data"),
    ("data_depth_annotated/train", "data_depth_annotated/val", "data_depth_annotated"),
)
# what may stand before the date or the drive in a list
_ABOVE = {"raw", "raw_data", "data_depth_annotated", "train", "val"}
_HEIGHT, _WIDTH = 352, 1216


class KITTI(DepthDataset):
    """Frames of a drive with sparse metric depth, which is never filled in; see `DepthDataset`.

    ``val`` is Eigen's test frames.
    """

    name = "kitti"
    counts_per_metre = 256.0

    def __init__(self, split: Split, root: str, max_depth: Depth = 80.0, diagnostics: Diagnostics = STOP) -> None:
        super().__init__(split, root, max_depth, diagnostics=diagnostics)

    def list_pairs(self, root: Path) -> list[tuple[Path, Path]]:
        folders: dict[str, Path] = {}

        def locate(name: str, place: int, where: str) -> Path | None:
            if name == "None":
                self._diagnostics.problem(
                    f"{where}: names no depth ('None'), as 45 of Eigen's 697 test frames have none. Remove such lines from "
                    "the list; scores are published on the other 652."
                )
                return None
            return _find(root, name, _PLACES[place], folders, where, self._diagnostics)

        holds = f"{_LISTS['train']}, {_LISTS['val']}, raw/ and data_depth_annotated/"
        return read_pairs("KITTI", root, _LISTS[self.split], holds, locate, self._diagnostics)

    def cut(self, pixels: NDArray[Any], path: Path) -> NDArray[Any]:
        height, width = pixels.shape[:2]
        if height < _HEIGHT or width < _WIDTH:
            raise DataError(
                f"{path}: is {width}x{height} pixels, and {_WIDTH}x{_HEIGHT} are cut out of each frame of KITTI. Replace it "
                "by the published file."
            )
        top, left = height - _HEIGHT, (width - _WIDTH) // 2
        return pixels[top:, left : left + _WIDTH]


def _find(
    root: Path, name: str, places: Sequence[str], folders: dict[str, Path], where: str, diagnostics: Diagnostics
) -> Path | None:
    """The file of a list's `name`; its folder is below the first of `places` that has it."""
    path = PurePosixPath(*dropwhile(_ABOVE.__contains__, PurePosixPath(name.lstrip("/")).parts))
    folder = str(path.parent)
    if folder not in folders:
        candidates = [root / place / folder for place in places]
        found = next(filter(Path.is_dir, candidates), None)
        if found is None:
            diagnostics.problem(
                f"{where}: there is no '{folder}' in {root}, neither in {' nor in '.join(places)}. Download this drive, or "
                "remove its lines from the list."
            )
            return None
        folders[folder] = found
    return folders[folder] / path.name
