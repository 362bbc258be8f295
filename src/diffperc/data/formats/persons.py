"""The persons of a COCO keypoint file as samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffperc.data.diagnostics import STOP, Collected, Diagnostics
from diffperc.data.formats.coco import read_annotations, read_detections
from diffperc.data.shared_list import SharedList
from diffperc.errors import DataError
from diffperc.files.images import read_image
from diffperc.files.read import Listing
from diffperc.geometry.person_crop import Box
from diffperc.types import Person, Sample
from diffperc.types.keypoints import COCO_KEYPOINTS

_PERSON = 1  # COCO's category
_FEW_BEYOND = 0.4
_NUMBERS = 3 * len(COCO_KEYPOINTS.names)


class _Image(NamedTuple):
    path: Path
    size: tuple[int, int]


class Persons:
    """Annotated persons with a labelled joint, no crowds; or a detector's persons. One sample per person.

    Persons in images that are not on disk are left out.

    Args:
        file: annotations.
        folder: the folder of the images.
        detections: a json list of {image_id, category_id, bbox, score}, whose boxes replace the annotated ones.
        keep: whether the persons of an image are wanted, by its file name.
        diagnostics: collects annotations that cannot be used.

    Raises:
        DataError: a file is missing or of another format, or there is no person.
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
                f"{detections or file}: has no person to crop in the {len(images)} images of {folder}: "
                f"{_why_none(content['annotations'], images) if detections is None else 'no box of a person is in them'}."
            )

    def __len__(self) -> int:
        return len(self._persons)

    def sample(self, index: int) -> Sample:
        """A person with its image.

        Raises:
            DataError: the image cannot be read, or has another size than the file says.
        """
        person, image = self._persons[index]
        pixels = read_image(image.path)
        if pixels.shape[:2] != image.size:
            raise DataError(
                f"{image.path}: the image is {pixels.shape[1]}x{pixels.shape[0]} pixels, {self._file.name} says "
                f"{image.size[1]}x{image.size[0]}; the boxes would not fit, so replace the image."
            )
        return Sample(path=str(image.path), image=pixels, person=person, files=(image.path,))

    def annotations(self) -> dict[str, Any]:
        """The images that are used, all their annotations with crowds, and the categories; read anew each time."""
        content = read_annotations(self._file, Collected())  # said when it was opened
        return {
            "images": [image for image in content["images"] if image["id"] in self._kept],
            "annotations": [entry for entry in content["annotations"] if entry["image_id"] in self._kept],
            "categories": content["categories"],
        }


def _present(
    content: Mapping[str, Any], file: Path, folder: Path, keep: Callable[[str], bool], diagnostics: Diagnostics
) -> dict[int, _Image]:
    """The listed images that are wanted and on disk, by id."""
    on_disk = Listing()
    images: dict[int, _Image] = {}
    listed: set[int] = set()
    unused: list[str] = []
    for image in content["images"]:
        number, name = image["id"], image["file_name"]
        listed.add(number)
        if not keep(name):
            continue
        place = _place(name, folder, on_disk)
        if place is not None:
            images[number] = _Image(place, (image["height"], image["width"]))
        else:
            unused.append(f"{file.name}: lists the image '{name}', which is not in {folder}; its persons are left out.")
    if not images:
        raise DataError(
            f"none of the {len(content['images'])} images that {file.name} lists is in {folder}; put them there or set "
            "dataset.root."
        )
    for entry in content["annotations"]:
        number = entry["image_id"]
        if number not in listed:
            unused.append(
                f"{file.name}: annotation {entry['id']} belongs to image {number}, which the file does not list; it is "
                "left out."
            )
    diagnostics.unused(unused)
    return images


def _place(name: str, folder: Path, on_disk: Listing) -> Path | None:
    """The file of an image; of a name with a path of another machine, the last part alone is looked for."""
    parts = name.replace("\\", "/")
    for candidate in (folder / parts, folder / parts.rpartition("/")[2]):
        if candidate in on_disk:
            return candidate
    return None


def _annotated(
    file: Path, content: Mapping[str, Any], images: Mapping[int, _Image], diagnostics: Diagnostics
) -> Iterator[Person]:
    unused: list[str] = []
    persons, beyond = 0, 0
    for entry in content["annotations"]:
        image = images.get(entry["image_id"])
        if image is None or entry["iscrowd"] or not entry["num_keypoints"]:
            continue
        count = len(entry["keypoints"])
        if count != _NUMBERS:
            diagnostics.problem(
                f"{file}: annotations have {count} keypoint numbers, COCO's persons have {_NUMBERS}: 17 keypoints of x, y, "
                f"visibility. Convert them; annotation {entry['id']} is the first."
            )
            break
        box = _clipped(entry["bbox"], image.size)
        if box is None:
            unused.append(
                f"{file.name}: the box of annotation {entry['id']} covers no pixel of its image; it is left out."
            )
            continue
        left, top, width, height = entry["bbox"]
        persons += 1
        beyond += left + width > image.size[1] + 1 or top + height > image.size[0] + 1
        rows = np.reshape(entry["keypoints"], (-1, 3)).tolist()
        yield Person(box, tuple(map(tuple, rows)), entry["area"], entry["image_id"], entry["id"])
    if beyond > _FEW_BEYOND * persons:
        unused.append(
            f"{file.name}: {beyond} of {persons} boxes reach beyond their images and are cut there; COCO's boxes are x, y, "
            "width and height, not two corners."
        )
    diagnostics.unused(unused)


def _why_none(annotations: Sequence[Mapping[str, Any]], images: Mapping[int, _Image]) -> str:
    """Why none of the annotations is a person to crop."""
    present = [entry for entry in annotations if entry["image_id"] in images]
    crowds = sum(bool(entry["iscrowd"]) for entry in present)
    without = sum(not entry["num_keypoints"] for entry in present)
    return (
        f"of {len(annotations)} annotations, {len(present)} are of these images; {crowds} of them are crowds (iscrowd), and "
        f"{without} have no labelled keypoint"
    )


def _detected(file: Path, images: Mapping[int, _Image]) -> Iterator[Person]:
    for detection in read_detections(file):
        image = images.get(detection["image_id"])
        if image is None or detection["category_id"] != _PERSON:
            continue
        box = _clipped(detection["bbox"], image.size)
        if box is not None:
            area = box[2] * box[3]
            yield Person(box, area=area, image_id=detection["image_id"], score=detection["score"])


def _clipped(box: Sequence[float], size: tuple[int, int]) -> Box | None:
    """The part of a box inside an image of size (H, W); None if it is less than a pixel wide or high."""
    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(size[1], box[0] + box[2]), min(size[0], box[1] + box[3])
    width, height = right - left, bottom - top
    if min(width, height) < 1:
        return None
    return left, top, width, height
