"""CamVid, street scenes with 11 classes, in the layout of the SegNet tutorial.

    root/train.txt, val.txt      one line a frame: image and mask, or the file's name without extension
    root/train/*, val/*          images, png or jpg
    root/trainannot/*.png, valannot/*.png      class ids 0-10, 11 = void

The published lists name absolute paths such as ``/SegNet/CamVid/train/x.png``: the last two components count, and the
extension may differ from the file's.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from diffperc.data.datasets.paired import MaskedFrames
from diffperc.data.diagnostics import problem
from diffperc.data.formats.images import read_list

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


class CamVid(MaskedFrames):
    """Frames of a drive, 11 classes; see `MaskedFrames`."""

    name = "camvid"
    classes = CLASSES
    class_of = {i: i for i in range(len(CLASSES))}  # noqa: RUF012
    ignored = (11,)

    def list_frames(self, root: Path) -> list[tuple[Path, Path]]:
        holds = "train.txt, val.txt, train/, trainannot/, val/ and valannot/"
        listed: dict[str, dict[str, Path]] = {}
        frames = []
        for where, names in read_list("CamVid", root, f"{self.split}.txt", holds, "image and mask"):
            if len(names) > 2:
                problem(f"{where}: expected 'image mask', found '{' '.join(names)}'.")
                continue
            image, mask = (_parts(n) for n in (names[0], names[-1]))
            if len(names) == 1:  # that name in both folders
                image, mask = ("", image[1]), ("", mask[1])
            files = (
                _find(root, image, self.split, listed, where),
                _find(root, mask, f"{self.split}annot", listed, where),
            )
            if files[0] is not None and files[1] is not None:
                frames.append((files[0], files[1]))
        return frames


def _find(root: Path, name: tuple[str, str], usual: str, listed: dict[str, dict[str, Path]], where: str) -> Path | None:
    """The file of a (folder, name without extension); `usual` is the folder of a bare name."""
    folder = root / (name[0] or usual)
    if folder.name not in listed:
        if not folder.is_dir():
            problem(f"{where}: there is no folder '{folder.name}' in {root}.")
            return None
        files = (p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)
        listed[folder.name] = {p.stem: p for p in files}
    if name[1] not in listed[folder.name]:
        problem(f"{where}: there is no '{name[1]}' in {folder}. Complete the folder, or take the line out of the list.")
    return listed[folder.name].get(name[1])


def _parts(name: str) -> tuple[str, str]:
    """The folder's name, empty if there is none, and the file's without extension."""
    path = PurePosixPath(name)
    return path.parent.name, path.stem if path.suffix.lower() in _SUFFIXES else path.name
