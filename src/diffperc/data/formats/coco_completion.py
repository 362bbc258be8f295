"""Completing keypoint annotations of other tools, which leave out or fill in differently what COCO's own have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffperc.data.diagnostics import Diagnostics
from diffperc.types.keypoints import plausible_area

_MARGIN = 0.1  # of the longer side, around labelled keypoints where there is no box


def persons_only(content: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """The categories that are persons, their annotations, and how many others there are.

    Persons are the category of that name, else those with names of keypoints, else all.
    """
    categories: list[dict[str, Any]] = content["categories"]
    named = [entry for entry in categories if entry.get("name") == "person"]
    persons = named or [entry for entry in categories if entry.get("keypoints")] or categories
    ids = [entry.get("id") for entry in persons]  # of any kind, before they are checked
    kept = [entry for entry in content["annotations"] if not ids or entry.get("category_id") in ids]
    return persons, kept, len(content["annotations"]) - len(kept)


def complete(annotations: Sequence[dict[str, Any]], name: str, diagnostics: Diagnostics) -> None:
    """Fill in, in place, what persons' annotations lack; each kind of change is said once.

    - ``iscrowd``: 0. ``keypoints``: none labelled.
    - ``num_keypoints``: the number of keypoints whose visibility is above 0.
    - ``bbox``: that of the labelled keypoints, with a margin of a tenth of its longer side.
    - ``area``: see `plausible_area`.

    Args:
        annotations: dictionaries of persons, whose numbers have been checked.
        name: of the file, for messages.
        diagnostics: is told.
    """
    said: dict[str, int] = {}
    for entry in annotations:
        for change in _completed(entry):
            said[change] = said.get(change, 0) + 1
    diagnostics.unused(
        [f"{name}: {count} of {len(annotations)} annotations {change}." for change, count in said.items()]
    )


def _completed(entry: dict[str, Any]) -> list[str]:
    changes = []
    entry.setdefault("iscrowd", 0)
    joints = (
        np.reshape(entry.setdefault("keypoints", []), (-1, 3)) if len(entry["keypoints"]) % 3 == 0 else np.zeros((0, 3))
    )
    labelled = joints[joints[:, 2] > 0]
    if "num_keypoints" not in entry or (entry["num_keypoints"] == 0 and len(labelled)):
        if len(labelled):
            changes.append("have labelled keypoints and a num_keypoints of 0 or none; they are counted")
        entry["num_keypoints"] = len(labelled)
    if "bbox" not in entry and len(labelled):
        low, high = labelled[:, :2].min(0), labelled[:, :2].max(0)
        margin = _MARGIN * (high - low).max()
        entry["bbox"] = [*(low - margin).tolist(), *(high - low + 2 * margin).tolist()]
        changes.append("have no bbox; that of their labelled keypoints is taken")
    box = entry.setdefault("bbox", [0.0, 0.0, 0.0, 0.0])
    area = plausible_area(entry.get("area", math.nan), box)
    if area != entry.get("area"):
        changes.append(
            "have no plausible area (none, 0 or 1); 0.52 of that of the box is taken, as COCO's persons have"
        )
    entry["area"] = area
    return changes
