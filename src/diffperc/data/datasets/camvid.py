"""CamVid, street scenes with 11 classes, in the layout of the SegNet tutorial.

    root/train.txt, val.txt      one line a frame: image and mask, or the file's name without extension
    root/train/*, val/*          images, png or jpg
    root/trainannot/*.png, valannot/*.png      class ids 0-10, 11 = void

The published lists name absolute paths such as ``/SegNet/CamVid/train/x.png``: the last two components count, and the
extension may differ from the file's.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

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
        folders = _Folders(root, self._diagnostics)
        pairs = []
        for where, names in read_list("CamVid", root, f"{self.split}.txt", holds, "image and mask", self._diagnostics):
            if len(names) > 2:
                self._diagnostics.problem(f"{where}: expected 'image mask', found '{' '.join(names)}'.")
                continue
            image, mask = _parts(names[0]), _parts(names[-1])
            if len(names) == 1:  # that name in both folders
                image, mask = ("", image[1]), ("", mask[1])
            image_file = folders.find(*image, self.split, where)
            mask_file = folders.find(*mask, f"{self.split}annot", where)
            if image_file is not None and mask_file is not None:
                pairs.append((image_file, mask_file))
        return pairs


class _Folders:
    """The files of each folder, by name without extension; a folder is listed once."""

    def __init__(self, root: Path, diagnostics: Diagnostics) -> None:
        self._root, self._diagnostics = root, diagnostics
        self._listed: dict[str, dict[str, Path]] = {}

    def find(self, folder_name: str, name: str, usual: str, where: str) -> Path | None:
        """The file of a name in a folder; `usual` is the folder of a bare name."""
        folder = self._root / (folder_name or usual)
        if folder.name not in self._listed:
            if not folder.is_dir():
                self._diagnostics.problem(f"{where}: there is no folder '{folder.name}' in {self._root}.")
                return None
            files = [path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES]
            self._listed[folder.name] = {path.stem: path for path in files}
        found = self._listed[folder.name].get(name)
        if found is None:
            self._diagnostics.problem(
                f"{where}: there is no '{name}' in {folder}. Complete the folder, or take the line out of the list."
            )
        return found


def _parts(name: str) -> tuple[str, str]:
    """The folder's name, empty if there is none, and the file's without extension."""
    path = PurePosixPath(name)
    return path.parent.name, path.stem if path.suffix.lower() in _SUFFIXES else path.name
