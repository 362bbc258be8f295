"""Persons of a COCO keypoint file; see https://cocodataset.org/#format-data."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.images import read_image
from diffperc.data.formats.lists import Listing, read_text
from diffperc.data.shared_list import SharedList
from diffperc.errors import DataError
from diffperc.preprocessing.person_crop import Box
from diffperc.types import Person, Sample
from diffperc.types.keypoints import COCO_KEYPOINTS

_PERSON = 1  # COCO's category
_FIELDS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "keypoints", "num_keypoints")
_NUMBERS = 3 * len(COCO_KEYPOINTS.names)


class _Image(NamedTuple):
    path: Path
    size: tuple[int, int]


class Persons:
    """Annotated persons with a labelled joint, no crowds; or those of a detector. One sample a person.

    Persons of images that are not on disk are left out.

    Args:
        file: annotations.
        folder: of the images.
        detections: a json list of {image_id, category_id, bbox, score}, whose boxes take the place of the annotated ones.
        keep: by an image's file name, whether its persons are wanted.
        diagnostics: what is told of annotations that cannot be used.

    Raises:
        DataError: a file is missing, is not what it should be, or there is no person.
    """

    def __init__(
        self,
        file: Path,
        folder: Path,
        detections: Path | None = None,
        keep: Callable[[str], bool] = lambda name: True,
        diagnostics: Diagnostics = STOP,
    ) -> None:
        self._file = file
        content = read_annotations(file, diagnostics)
        images = _present(content, file, folder, keep, diagnostics)
        self._kept = frozenset(images)
        found = _annotated(file, content, images, diagnostics) if detections is None else _detected(detections, images)
        self._persons = SharedList((person, images[person.image_id]) for person in found)
        if not len(self._persons):
            raise DataError(
                f"{detections or file}: has no person to crop in the {len(images)} images of {folder}; "
                f"check that the file and the images belong together."
            )

    def __len__(self) -> int:
        return len(self._persons)

    def sample(self, index: int) -> Sample:
        """A person with its image.

        Raises:
            DataError: the image cannot be read, or is of another size than the file says.
        """
        person, image = self._persons[index]
        pixels = read_image(image.path)
        if pixels.shape[:2] != image.size:
            raise DataError(
                f"{image.path}: the image is {pixels.shape[1]}x{pixels.shape[0]} pixels, {self._file.name} says "
                f"{image.size[1]}x{image.size[0]}; the boxes would not fit, so replace the image."
            )
        return Sample(path=str(image.path), image=pixels, person=person)

    def annotations(self) -> dict[str, Any]:
        """Images that are used, all their annotations with crowds, categories; read anew, not kept in memory."""
        content = read_annotations(self._file)
        return {
            "images": [image for image in content["images"] if image["id"] in self._kept],
            "annotations": [a for a in content["annotations"] if a["image_id"] in self._kept],
            "categories": content["categories"],
        }


def read_json(file: Path) -> Any:
    """The content of a json file.

    Raises:
        DataError: it is not there, or no json.
    """
    try:
        return json.loads(read_text(file))
    except ValueError as error:
        raise DataError(f"{file}: is not valid json ({error}); it may be cut short, so copy it again.") from error


def read_annotations(file: Path, diagnostics: Diagnostics = STOP) -> dict[str, Any]:
    """COCO's keypoint annotations without outlines, which are most of the file.

    Raises:
        DataError: the file is missing, damaged, or of another format.
    """
    content = read_json(file)
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(_records(content.get(key)) for key in lists):
        raise DataError(
            f"{file}: a COCO annotation file holds images, annotations and categories, this one does not; "
            f"use person_keypoints_*.json."
        )
    if not any("keypoints" in a for a in content["annotations"]):
        raise DataError(f"{file}: has annotations but no keypoints; use person_keypoints_*.json.")
    _require(file, "image", content["images"], ("id", "file_name", "height", "width"))
    _require(file, "annotation", content["annotations"], _FIELDS)
    for kind in ("images", "annotations"):
        counted = Counter(entry["id"] for entry in content[kind])
        for number in (number for number, count in counted.items() if count > 1):
            diagnostics.problem(
                f"{file}: {counted[number]} {kind} have the id {number}, so that they cannot be told apart."
            )
    for annotation in content["annotations"]:
        annotation.pop("segmentation", None)
    return content


def _records(entries: Any) -> bool:
    return isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


# what is not one number
_KINDS: dict[str, Callable[[Any], bool]] = {
    "file_name": lambda value: isinstance(value, str) and bool(value),
    "bbox": lambda value: _are_numbers(value) and len(value) == 4,
    "keypoints": _are_numbers,
}


def _require(file: Path, kind: str, entries: Sequence[Any], keys: Sequence[str]) -> None:
    for number, entry in enumerate(entries):
        missing = [key for key in keys if key not in entry]
        if missing:
            raise DataError(
                f"{file}: {kind} number {number} has no {', '.join(missing)}; the file is not COCO's format."
            )
        wrong = [key for key in keys if not _KINDS.get(key, _is_number)(entry[key])]
        if wrong:
            raise DataError(
                f"{file}: {kind} number {number} has {wrong[0]} {entry[wrong[0]]!r}, which is not COCO's format."
            )


def _present(
    content: Mapping[str, Any], file: Path, folder: Path, keep: Callable[[str], bool], diagnostics: Diagnostics
) -> dict[int, _Image]:
    """By id, the listed images that are wanted and on disk."""
    listing = Listing()
    images, absent = {}, []
    for image in content["images"]:
        name = image["file_name"]
        if not keep(name):
            continue
        if folder / name in listing:
            images[image["id"]] = _Image(folder / name, (image["height"], image["width"]))
        else:
            absent.append(f"{file.name}: lists the image '{name}', which is not in {folder}; its persons are left out.")
    if not images:
        raise DataError(
            f"none of the {len(content['images'])} images that {file.name} lists is in {folder}; put them there or set "
            "dataset.root."
        )
    listed = {image["id"] for image in content["images"]}
    for a in content["annotations"]:
        if a["image_id"] not in listed:
            absent.append(
                f"{file.name}: annotation {a['id']} is of image {a['image_id']}, which the file does not list; it is left "
                "out."
            )
    diagnostics.unused(absent)
    return images


def _annotated(
    file: Path, content: Mapping[str, Any], images: Mapping[int, _Image], diagnostics: Diagnostics
) -> Iterator[Person]:
    persons = _person_categories(content["categories"])
    unused: list[str] = []
    for a in content["annotations"]:
        if a["image_id"] not in images or a["iscrowd"] or not a["num_keypoints"]:
            continue
        where = f"annotation {a['id']}"
        if persons and a["category_id"] not in persons:
            unused.append(f"{file.name}: {where} is of category {a['category_id']}, no person; it is left out.")
            continue
        if len(a["keypoints"]) != _NUMBERS:
            diagnostics.problem(
                f"{file}: {where} has {len(a['keypoints'])} keypoint numbers, COCO's persons have {_NUMBERS}."
            )
            continue
        box = _clipped(a["bbox"], images[a["image_id"]].size)
        if box is None:
            unused.append(f"{file.name}: the box of {where} has no pixel of its image; it is left out.")
            continue
        rows = np.reshape(a["keypoints"], (-1, 3)).tolist()
        keypoints = tuple((x, y, v) for x, y, v in rows)
        yield Person(box, keypoints, a["area"], a["image_id"], a["id"])
    diagnostics.unused(unused)


def _person_categories(categories: Sequence[Mapping[str, Any]]) -> set[Any]:
    """Ids of the categories that are persons: where there are several, those with keypoints."""
    persons = set()
    for category in categories:
        if category.get("keypoints") or category.get("name") == "person":
            persons.add(category.get("id"))
    return persons


def _detected(file: Path, images: Mapping[int, _Image]) -> Iterator[Person]:
    if not file.is_file():
        raise DataError(
            f"COCOPose: there is no file of detections '{file}'. Set dataset.detections to a json list of image_id, "
            f"category_id, bbox and score, or to null to use the annotated boxes."
        )
    detections = read_json(file)
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
