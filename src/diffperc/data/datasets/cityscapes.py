"""Cityscapes, the finely annotated street scenes with the 19 classes that are scored (methods.md 2.2).

    root/leftImg8bit/train/<city>/<frame>_leftImg8bit.png, val/...
    root/gtFine/train/<city>/<frame>_gtFine_labelIds.png, val/...

The files hold the 34 official ids; the others of them, such as the car's own bonnet, are not counted.
"""

from __future__ import annotations

from pathlib import Path

from diffperc.data.datasets.paired import MaskDataset
from diffperc.data.formats.lists import pair_files
from diffperc.files.read import check_root

# by the id in the files
_NAMES = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
CLASSES = tuple(_NAMES.values())


class Cityscapes(MaskDataset):
    """Frames of drives through German cities, 19 classes; see `MaskDataset`."""

    name = "cityscapes"
    classes = CLASSES
    class_of = {label: i for i, label in enumerate(_NAMES)}  # noqa: RUF012
    # 255 is -1 (licence plate) in eight bits
    ignored = (*sorted({*range(34)} - {*_NAMES}), 255)

    def list_pairs(self, root: Path) -> list[tuple[Path, Path]]:
        check_root("Cityscapes", root, "leftImg8bit/ and gtFine/")
        images, masks = root / "leftImg8bit" / self.split, root / "gtFine" / self.split
        return pair_files(images, "_leftImg8bit.png", masks, "_gtFine_labelIds.png", self._diagnostics)
