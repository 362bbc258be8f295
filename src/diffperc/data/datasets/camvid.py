"""CamVid, street scenes with 11 classes, in the layout of the SegNet tutorial.

    root/train.txt, val.txt      one line per frame: image and mask, or the file's name without suffix
    root/train/*, val/*          images, png or jpg
    root/trainannot/*.png, valannot/*.png      class ids 0-10, 11 = void

The published lists name absolute paths such as ``/SegNet/CamVid/train/x.png``: the last two components count, and the
suffix may differ from the file's.
"""

from __future__ import annotations

from pathlib import Path, PurePath, PurePosixPath

from diffperc.data.datasets.paired import MaskDataset
from diffperc.data.diagnostics import Diagnostics
from diffperc.data.formats.lists import read_list

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
_SUFFIXES = (".png", ".jpg", ".jpeg")


class CamVid(MaskDataset):
    """Frames of a drive, 11 classes; see `MaskDataset`."""

    name = "camvid"
    classes = CLASSES
    class_of = {i: i for i in range(len(CLASSES))}  # noqa: RUF012
    ignored = (11,)

    def list_pairs(self, root: Path) -> list[tuple[Path, Path]]:
        holds = "train.txt, val.txt, train/, trainannot/, val/ and valannot/"
        lines = read_list("CamVid", root, f"{self.split}.txt", holds, "image and mask", self._diagnostics)
        folders = _Folders(root, self._diagnostics)
        pairs = []
        for where, names in lines:
            if len(names) > 2:
                self._diagnostics.problem(f"{where}: expected 'image mask', found '{' '.join(names)}'.")
                continue
            if len(names) == 1:  # the same name in both folders
                name = PurePosixPath(names[0]).name
                names = [name, name]
            image = folders.find(names[0], self.split, where)
            mask = folders.find(names[1], f"{self.split}annot", where)
            if image is not None and mask is not None:
                pairs.append((image, mask))
        return pairs


class _Folders:
    """The files of each folder, by name without suffix; a folder is listed once."""

    def __init__(self, root: Path, diagnostics: Diagnostics) -> None:
        self._root, self._diagnostics = root, diagnostics
        self._listed: dict[str, dict[str, Path]] = {}

    def find(self, listed: str, usual: str, where: str) -> Path | None:
        """The file of a list's entry, of which the last two parts count; `usual` is the folder of a bare name."""
        path = PurePosixPath(listed)
        folder, name = self._root / (path.parent.name or usual), _without_suffix(path)
        if not folder.is_dir():
            self._diagnostics.problem(f"{where}: there is no folder '{folder.name}' in {self._root}.")
            return None
        if folder.name not in self._listed:
            self._listed[folder.name] = {_without_suffix(file): file for file in sorted(folder.iterdir())}
        found = self._listed[folder.name].get(name)
        if found is None:
            self._diagnostics.problem(
                f"{where}: there is no '{name}' in {folder}. Complete the folder, or remove the line from the list."
            )
        return found


def _without_suffix(path: PurePath) -> str:
    """The file's name without the suffix of an image."""
    return path.stem if path.suffix.lower() in _SUFFIXES else path.name
