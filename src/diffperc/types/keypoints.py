"""A set of body keypoints: names, mirror pairs, sigmas of the OKS, and lines to draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KeypointSpec:
    """A set of K keypoints.

    Attributes:
        names: names of the keypoints, in order.
        swap: for each keypoint the index of its mirror twin; itself on the midline.
        sigmas: one per keypoint, for the object keypoint similarity.
        skeleton: pairs of indices that a drawing joins.
        upper: indices of the upper body, for half-body augmentation.
    """

    names: tuple[str, ...]
    swap: tuple[int, ...]
    sigmas: tuple[float, ...]
    skeleton: tuple[tuple[int, int], ...]
    upper: tuple[int, ...]

    def __post_init__(self) -> None:
        count = len(self.names)
        if not count == len(self.swap) == len(self.sigmas):
            raise ValueError(f"KeypointSpec: {count} names, {len(self.swap)} mirror twins, {len(self.sigmas)} sigmas")
        twins_of_twins = [self.swap[twin] for twin in self.swap]
        if twins_of_twins != list(range(count)):
            raise ValueError(f"KeypointSpec.swap must be its own inverse, got {self.swap}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> KeypointSpec:
        """From plain values, as a checkpoint holds them."""
        plain: dict[str, Any] = {name: tuple(entries) for name, entries in values.items()}
        plain["skeleton"] = tuple(map(tuple, plain["skeleton"]))
        return cls(**plain)


COCO_KEYPOINTS = KeypointSpec(
    names=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    swap=(0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15),
    # as COCO's evaluation has them
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035),  # nose, eyes, ears
        *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),  # shoulders, elbows, wrists
        *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),  # hips, knees, ankles
    ),
    skeleton=(
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12)),  # legs and hips
        *((5, 11), (6, 12), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),  # trunk and arms
        *((1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),  # head
    ),
    upper=tuple(range(11)),
)
"""COCO's 17 body keypoints; left is the person's own left."""

_SHARE = 0.52
"""The mean share of a box that the outline of its person covers, over 132 persons of COCO."""


def plausible_area(area: float, box: Sequence[float]) -> float:
    """The area of a person in square pixels, by which the object keypoint similarity forgives distances.

    Tools that draw no outlines write 0 or 1, with which a keypoint one pixel off counts as wrong. 0.52 of the box's area is
    taken then.

    Args:
        area: as annotated; NaN if there is none.
        box: x, y, width, height.
    """
    if math.isfinite(area) and area > 1:
        return area
    return max(1.0, _SHARE * box[2] * box[3])
