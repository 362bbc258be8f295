"""Reading and checking COCO's keypoint files; see https://cocodataset.org/#format-data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.coco_completion import complete, persons_only
from diffperc.errors import DataError
from diffperc.files.read import read_json

Entry = Mapping[str, Any]
_LISTS = ("images", "annotations", "categories")
_IMAGE = ("id", "file_name", "height", "width")
_ANNOTATION = ("id", "image_id", "category_id")
_OPTIONAL = ("bbox", "area", "iscrowd", "keypoints", "num_keypoints")
_LARGEST = 1e6  # pixels
_DETECTION = ("image_id", "category_id", "bbox", "score")


def read_annotations(file: Path, diagnostics: Diagnostics = STOP) -> dict[str, Any]:
    """COCO's keypoint annotations without the outlines, which are most of the file.

    Raises:
        DataError: the file is missing, damaged, or of another format.
    """
    content = read_json(file)
    if not isinstance(content, dict) or not all(map(are_entries, map(content.get, _LISTS))):
        raise DataError(
            f"{file}: a COCO annotation file holds images, annotations and categories, this one does not; "
            f"use person_keypoints_*.json."
        )
    images = content["images"]
    content["categories"], annotations, others = persons_only(content)
    content["annotations"] = annotations
    if others:
        diagnostics.unused([f"{file.name}: {others} annotations are not of persons; they are left out."])
    if not any("keypoints" in annotation for annotation in annotations):
        raise DataError(f"{file}: has annotations but no keypoints; use person_keypoints_*.json.")
    check_entries(file, "image", images, _IMAGE)
    check_entries(file, "annotation", annotations, _ANNOTATION, _OPTIONAL)
    complete(annotations, file.name, diagnostics)
    _check_ids(file, "images", images, diagnostics)
    _check_ids(file, "annotations", annotations, diagnostics)
    for annotation in annotations:
        annotation.pop("segmentation", None)
    return content


def read_detections(file: Path) -> list[dict[str, Any]]:
    """A detector's boxes: a json list of {image_id, category_id, bbox, score}.

    Raises:
        DataError: the file is missing, damaged, or of another format.
    """
    if not file.is_file():
        raise DataError(
            f"COCOPose: there is no file of detections '{file}'. Set dataset.detections to a json list of image_id, "
            f"category_id, bbox and score, or to null to use the annotated boxes."
        )
    detections: list[dict[str, Any]] = read_json(file)
    if not are_entries(detections):
        raise DataError(f"{file}: is no list of detections; each entry needs image_id, category_id, bbox and score.")
    check_entries(file, "detection", detections, _DETECTION)
    return detections


def check_entries(
    file: Path, kind: str, entries: Sequence[Entry], keys: Sequence[str], optional: Sequence[str] = ()
) -> None:
    """Check the entries of one of a COCO file's lists.

    Args:
        file: for messages.
        kind: what an entry is, for messages.
        entries: the list.
        keys: what each entry must have.
        optional: what it may have.

    Raises:
        DataError: an entry lacks a key or has a value of another type.
    """
    for number, entry in enumerate(entries):
        missing = sorted(set(keys) - set(entry))
        if missing:
            raise DataError(
                f"{file}: {kind} number {number} has no {', '.join(missing)}; the file is not in COCO's format."
            )
        for key in (*keys, *(key for key in optional if key in entry)):
            fits = _CHECKS.get(key, _is_number)
            if not fits(entry[key]):
                raise DataError(
                    f"{file}: {kind} number {number} has {key} {repr(entry[key])[:60]}, which is not in COCO's format."
                )


def _check_ids(file: Path, kind: str, entries: Sequence[Entry], diagnostics: Diagnostics) -> None:
    """Report each id that several entries share."""
    counts = Counter(entry["id"] for entry in entries)
    for number, count in counts.items():
        if count > 1:
            diagnostics.problem(f"{file}: {count} {kind} share the id {number}; give each its own.")


def are_entries(value: Any) -> bool:
    """Whether it is a list of dicts."""
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _is_number(value: Any) -> bool:
    """Finite, and not beyond 64 bits, which a json file may hold."""
    return isinstance(value, int | float) and abs(value) < 2**63


def _is_length(value: Any) -> bool:
    return _is_number(value) and abs(value) <= _LARGEST


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_length, value))


def _is_box(value: Any) -> bool:
    return _are_numbers(value) and len(value) == 4


def _is_segmentation(value: Any) -> bool:
    return isinstance(value, list | dict)


# by key; the values of all others are single numbers
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "file_name": _is_name,
    "name": _is_name,
    "bbox": _is_box,
    "keypoints": _are_numbers,
    "segmentation": _is_segmentation,
}
