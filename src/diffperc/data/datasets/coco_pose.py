"""COCO persons with keypoints (methods.md 2.3), one sample per person.

    root/train2017/*.jpg, val2017/*.jpg
    root/annotations/person_keypoints_train2017.json, person_keypoints_val2017.json

The images need not be complete: persons in missing ones are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffperc.data.base import PerceptionDataset, Split
from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.persons import Persons
from diffperc.errors import DataError
from diffperc.types import COCO_KEYPOINTS, DatasetInfo, Sample


class COCOPose(PerceptionDataset):
    """Persons of COCO: annotated ones with a labelled joint, no crowds; or in validation those of a detector.

    Args:
        split: ``train`` or ``val``.
        root: the folder above.
        train: folder of the images for training; its name replaces ``{}`` in `annotations`.
        val: the same for validation.
        annotations: the json file, relative to the root.
        detections: a json list of {image_id, category_id, bbox, score}, relative to the root; validation uses these
            boxes instead of the annotated ones.
        diagnostics: collects problems.

    Raises:
        DataError: a folder or file is missing, or a file has another format.
    """

    provides = ("keypoints",)
    one_size = False

    def __init__(
        self,
        split: Split,
        root: str,
        train: str = "train2017",
        val: str = "val2017",
        annotations: str = "annotations/person_keypoints_{}.json",
        detections: str | None = None,
        diagnostics: Diagnostics = STOP,
    ) -> None:
        self.split: Split = split
        self.info = DatasetInfo(name="coco_pose", keypoints=COCO_KEYPOINTS)
        name = train if split == "train" else val
        place = Path(root).expanduser()
        folder, file = place / name, place / annotations.format(name)
        self._check_layout(place, folder, file)
        boxes = None
        if detections is not None and split == "val":
            boxes = place / Path(detections).expanduser()
        self._persons = Persons(file, folder, boxes, diagnostics=diagnostics)

    def _check_layout(self, root: Path, folder: Path, file: Path) -> None:
        if not root.is_dir():
            raise DataError(
                f"COCOPose: there is no folder '{root}'. Set dataset.root=/path/to/coco, the folder that holds "
                f"{folder.name}/ and annotations/."
            )
        if not file.is_file():
            raise DataError(
                f"COCOPose: there is no annotation file '{file}'. Unpack COCO's annotations there, or set "
                f"dataset.root (now {root}) or dataset.annotations to where they are."
            )
        if not folder.is_dir():
            raise DataError(
                f"COCOPose: there is no folder '{folder.name}' in {root}; put the images there, or set "
                f"dataset.{self.split} to the name of the folder that holds them."
            )

    def __len__(self) -> int:
        return len(self._persons)

    def __getitem__(self, index: int) -> Sample:
        return self._persons.sample(index)

    def keypoint_annotations(self) -> dict[str, Any]:
        return self._persons.annotations()
