"""COCO persons with keypoints (methods.md 2.3), one sample a person.

    root/train2017/*.jpg, val2017/*.jpg
    root/annotations/person_keypoints_train2017.json, person_keypoints_val2017.json

Only part of the images need be there: persons of the others are left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.data.io import read_image
from diffperc.data.person import Box, PersonCrop
from diffperc.errors import DataError
from diffperc.keypoints import COCO_KEYPOINTS
from diffperc.protocols import Protocol
from diffperc.types import DatasetInfo, Person

_PERSON = 1  # COCO's category
_FIELDS = ("id", "image_id", "bbox", "area", "iscrowd", "keypoints", "num_keypoints")
_NUMBERS = 3 * len(COCO_KEYPOINTS.names)


@dataclass(frozen=True)
class _Image:
    path: Path
    size: tuple[int, int]


@dataclass(frozen=True)
class _Persons:
    """N persons as arrays: 150,000 of them as objects would fill a worker's memory."""

    boxes: NDArray[np.float64]
    """(N, 4) x, y, width, height."""
    keypoints: NDArray[np.float32]
    """(N, K, 3), or (N, 0, 3) for detections."""
    areas: NDArray[np.float64]
    scores: NDArray[np.float64]
    images: NDArray[np.int64]
    annotations: NDArray[np.int64]

    @classmethod
    def stack(cls, persons: Iterator[Person]) -> _Persons:
        boxes, keypoints, numbers, ids = [], [], [], []
        for p in persons:
            boxes.append(p.box)
            keypoints.append(np.array(p.keypoints, dtype=np.float32).reshape(-1, 3))
            numbers.append((p.area, p.score))
            ids.append((p.image_id, p.annotation_id))
        areas, scores = np.array(numbers, dtype=np.float64).reshape(-1, 2).T
        images, annotations = np.array(ids, dtype=np.int64).reshape(-1, 2).T
        joints = np.stack(keypoints) if keypoints else np.zeros((0, 0, 3), np.float32)
        return cls(np.array(boxes, dtype=np.float64), joints, areas, scores, images, annotations)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int) -> Person:
        left, top, width, height = self.boxes[index].tolist()
        return Person(
            box=(left, top, width, height),
            keypoints=tuple((x, y, v) for x, y, v in self.keypoints[index].tolist()),
            area=float(self.areas[index]),
            image_id=int(self.images[index]),
            annotation_id=int(self.annotations[index]),
            score=float(self.scores[index]),
        )


class COCOPose(PerceptionDataset):
    """Persons of COCO: annotated ones with a labelled joint, no crowds; or in validation those of a detector.

    Args:
        split: ``train`` or ``val``.
        root: the folder above.
        protocols: by task, how it is evaluated.
        person_crop: cuts a person out.
        train, val: folders of images, and what stands for ``{}`` in `annotations`.
        annotations: the json file, relative to the root.
        detections: a json list of {image_id, category_id, bbox, score}, relative to the root; validation goes over
            these boxes instead of the annotated ones.
        needs: what the task asks for; there are keypoints alone.

    Raises:
        DataError: a folder or file is missing, or a file is not what it should be.
    """

    provides = ("keypoints",)

    def __init__(
        self,
        split: Split,
        root: str,
        protocols: Mapping[str, Protocol],
        person_crop: PersonCrop,
        train: str = "train2017",
        val: str = "val2017",
        annotations: str = "annotations/person_keypoints_{}.json",
        detections: str | None = None,
        needs: Sequence[str] = ("keypoints",),
    ) -> None:
        self.split: Split = split
        self.person_crop = person_crop
        self.info = DatasetInfo(
            name="coco_pose",
            provides=self.provides,
            keypoints=COCO_KEYPOINTS,
            input_size=person_crop.size,
            protocols=protocols,
        )
        self._root = Path(root).expanduser()
        name = train if split == "train" else val
        self._folder, self._file = self._root / name, self._root / annotations.format(name)
        self._check_layout()
        truth = _read_truth(self._file)
        self._images = self._present(truth)
        if detections is not None and split == "val":
            source = self._root / Path(detections).expanduser()
            self._persons = _Persons.stack(_detected(source, self._images))
        else:
            source = self._file
            self._persons = _Persons.stack(_annotated(source, truth, self._images))
        if not len(self._persons):
            raise DataError(
                f"{source}: has no person to crop in the {len(self._images)} images of {self._folder}; "
                f"check that the file and the images belong together."
            )

    def _check_layout(self) -> None:
        if not self._root.is_dir():
            raise DataError(
                f"COCOPose: there is no folder '{self._root}'. Set dataset.root=/path/to/coco, the folder that holds "
                f"{self._folder.name}/ and annotations/."
            )
        if not self._file.is_file():
            raise DataError(
                f"COCOPose: there is no annotation file '{self._file}'. Unpack COCO's annotations there, or set "
                f"dataset.root (now {self._root}) or dataset.annotations to where they are."
            )
        if not self._folder.is_dir():
            raise DataError(
                f"COCOPose: there is no folder '{self._folder.name}' in {self._root}; put the images there, or set "
                f"dataset.{self.split} to the name of the folder that holds them."
            )

    def _present(self, truth: dict[str, Any]) -> dict[int, _Image]:
        """By id, the listed images that are on disk."""
        names = set(os.listdir(self._folder))  # one look at the folder, not one a file
        images = {
            image["id"]: _Image(self._folder / image["file_name"], (image["height"], image["width"]))
            for image in truth["images"]
            if image["file_name"] in names
        }
        if not images:
            raise DataError(
                f"COCOPose: none of the {len(truth['images'])} images that {self._file.name} lists is in {self._folder}; "
                f"put them there or set dataset.root."
            )
        return images

    def __len__(self) -> int:
        return len(self._persons)

    def __getitem__(self, index: int) -> Sample:
        person = self._persons[index]
        image = self._images[person.image_id]
        pixels = read_image(image.path)
        if pixels.shape[:2] != image.size:
            raise DataError(
                f"{image.path}: the image is {pixels.shape[1]}x{pixels.shape[0]} pixels, {self._file.name} says "
                f"{image.size[1]}x{image.size[0]}; the boxes would not fit, so replace the image."
            )
        return Sample(path=str(image.path), image=pixels, person=person)

    def keypoint_truth(self) -> dict[str, Any]:
        """Images that are on disk, all their annotations with crowds, categories; read anew, not kept in memory."""
        truth = _read_truth(self._file)
        return {
            "images": [image for image in truth["images"] if image["id"] in self._images],
            "annotations": [a for a in truth["annotations"] if a["image_id"] in self._images],
            "categories": truth["categories"],
        }


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file}: is not valid json ({error}); it may be cut short, so copy it again.") from error


def _read_truth(file: Path) -> dict[str, Any]:
    """COCO's keypoint annotations without outlines, which are most of the file."""
    truth = _read_json(file)
    if not isinstance(truth, dict) or any(key not in truth for key in ("images", "annotations", "categories")):
        raise DataError(
            f"{file}: a COCO annotation file holds images, annotations and categories, this one does not; "
            f"use person_keypoints_*.json."
        )
    if not any("keypoints" in a for a in truth["annotations"]):
        raise DataError(f"{file}: has annotations but no keypoints; use person_keypoints_*.json.")
    _require(file, "image", truth["images"], ("id", "file_name", "height", "width"))
    _require(file, "annotation", truth["annotations"], _FIELDS)
    for annotation in truth["annotations"]:
        annotation.pop("segmentation", None)
    return truth


def _require(file: Path, kind: str, entries: Sequence[Any], keys: Sequence[str]) -> None:
    for number, entry in enumerate(entries):
        missing = [key for key in keys if key not in entry]
        if missing:
            raise DataError(
                f"{file}: {kind} number {number} has no {', '.join(missing)}; the file is not COCO's format."
            )


def _annotated(file: Path, truth: dict[str, Any], images: Mapping[int, _Image]) -> Iterator[Person]:
    for a in truth["annotations"]:
        if a["image_id"] not in images or a["iscrowd"] or not a["num_keypoints"]:
            continue
        if len(a["keypoints"]) != _NUMBERS:
            raise DataError(
                f"{file}: annotation {a['id']} has {len(a['keypoints'])} keypoint numbers, COCO's persons have {_NUMBERS}."
            )
        box = _clipped(a["bbox"], images[a["image_id"]].size)
        if box is not None:
            joints = np.reshape(a["keypoints"], (-1, 3)).tolist()
            keypoints = tuple((x, y, v) for x, y, v in joints)
            yield Person(box, keypoints, a["area"], a["image_id"], a["id"])


def _detected(file: Path, images: Mapping[int, _Image]) -> Iterator[Person]:
    if not file.is_file():
        raise DataError(
            f"COCOPose: there is no file of detections '{file}'. Set dataset.detections to a json list of image_id, "
            f"category_id, bbox and score, or to null to use the annotated boxes."
        )
    detections = _read_json(file)
    if not isinstance(detections, list):
        raise DataError(f"{file}: is no list of detections; each entry needs image_id, category_id, bbox and score.")
    _require(file, "detection", detections, ("image_id", "category_id", "bbox", "score"))
    for d in detections:
        if d["category_id"] != _PERSON or d["image_id"] not in images:
            continue
        box = _clipped(d["bbox"], images[d["image_id"]].size)
        if box is not None:
            yield Person(box, area=box[2] * box[3], image_id=d["image_id"], score=d["score"])


def _clipped(box: Sequence[float], size: tuple[int, int]) -> Box | None:
    """The part of a box inside an image of size (H, W); None if that is less than a pixel wide or high."""
    left, top = max(0.0, box[0]), max(0.0, box[1])
    width, height = min(size[1], box[0] + box[2]) - left, min(size[0], box[1] + box[3]) - top
    return (left, top, width, height) if width >= 1 and height >= 1 else None
