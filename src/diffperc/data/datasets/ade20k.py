"""ADE20K with 150 classes, as of the scene parsing challenge of 2016 (methods.md 1.1).

    root/images/training/*.jpg, validation/*.jpg
    root/annotations/training/*.png, validation/*.png      0 = other, 1-150 = the classes

The root is the folder ``ADEChallengeData2016`` or the one that holds it. Nothing is counted where a pixel is "other": class
ids are those of the files less one.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from diffperc.data.datasets.paired import MaskDataset
from diffperc.data.formats.lists import pair_files
from diffperc.files.read import check_root

# the first of each class's names in objectInfo150.txt
CLASSES = tuple(
    resources.files("diffperc.assets").joinpath("ade20k_classes.txt").read_text(encoding="utf-8").splitlines()
)
_FOLDERS = {"train": "training", "val": "validation"}
_INNER = "ADEChallengeData2016"


class ADE20K(MaskDataset):
    """Photographs of every kind of place, 150 classes; see `MaskDataset`. Pixels of other things are not counted."""

    name = "ade20k"
    one_size = False
    classes = CLASSES
    class_of = {i + 1: i for i in range(len(CLASSES))}  # noqa: RUF012
    ignored = (0,)

    def list_pairs(self, root: Path) -> list[tuple[Path, Path]]:
        check_root("ADE20K", root, f"images/ and annotations/, or {_INNER}/ with them")
        folder = root / _INNER if (root / _INNER).is_dir() else root
        part = _FOLDERS[self.split]
        return pair_files(folder / "images" / part, ".jpg", folder / "annotations" / part, ".png", self._diagnostics)
