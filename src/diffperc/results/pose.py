"""Predicted poses."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from diffperc.errors import ConfigError
from diffperc.files.write import write_picture, write_string
from diffperc.results.base import Result
from diffperc.types import KeypointSpec, Picture
from diffperc.visualization.overlays import boxed, skeleton

_LISTED = 4  # persons in the summary
_SAME = 0.3  # intersection over union of the boxes of one person in two frames
Box = tuple[float, float, float, float]


class Pose(NamedTuple):
    """points: (K, 2) x, y in pixels of the image; confidence: (K,), about 1 if certain; box: x, y, width, height."""

    points: NDArray[np.float32]
    confidence: NDArray[np.float32]
    box: Box


@dataclass(frozen=True)
class FoundPerson:
    """box: x, y, width, height in pixels of the image; keypoints: by name, x, y in pixels and the score."""

    box: Box
    keypoints: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class PoseFound:
    """The persons of an image."""

    persons: tuple[FoundPerson, ...]


class PoseResult(Result, Sequence[Pose]):
    """Keypoints of persons; also the sequence of their poses.

    Args:
        image: (H, W, 3) uint8 RGB.
        poses: of each person.
        spec: which keypoints.
        visible: the confidence from which on keypoints are drawn and counted.

    Attributes:
        keypoints: (N, K, 2) float32 x, y in pixels of the image.
        scores: (N, K) float32, the height of the heatmap's maximum: about 1 if certain.
        boxes: (N, 4) float32 x, y, width, height.
    """

    endings = ("_pose.json", "_pose.png")
    main = "rows"
    difference_unit = "pixels"

    def __init__(self, image: Picture, poses: Sequence[Pose], spec: KeypointSpec, visible: float) -> None:
        super().__init__(image)
        self.poses, self.spec, self.visible = tuple(poses), spec, visible
        count = len(spec.names)
        self.keypoints = np.array([pose.points for pose in poses], np.float32).reshape(-1, count, 2)
        self.scores = np.array([pose.confidence for pose in poses], np.float32).reshape(-1, count)
        self.boxes = np.array([pose.box for pose in poses], np.float32).reshape(-1, 4)

    @property
    def rows(self) -> NDArray[np.float32]:
        """(N, K, 3) x, y, score."""
        return np.concatenate([self.keypoints, self.scores[..., None]], -1)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(N, K), the scores within [0, 1]."""
        return self.scores.clip(0, 1)

    @property
    def summary(self) -> str:
        certain = [f"{int(shown.sum())} of {len(self.spec.names)} keypoints" for shown in self.scores >= self.visible]
        listed = f" ({', '.join(certain[:_LISTED])})" if certain else ""
        return f"{len(self)} person{'' if len(self) == 1 else 's'}{listed}"

    @property
    def found(self) -> PoseFound:
        persons = []
        for pose, rows in zip(self.poses, self.rows, strict=True):
            points = [(x, y, score) for x, y, score in rows.astype(float).round(3).tolist()]
            persons.append(FoundPerson(pose.box, dict(zip(self.spec.names, points, strict=True))))
        return PoseFound(tuple(persons))

    def drawing(self) -> Picture:
        drawn = self.image
        for pose, shown in zip(self.poses, self.scores >= self.visible, strict=True):
            drawn = skeleton(boxed(drawn, pose.box), pose.points, shown, self.spec)
        return drawn

    def note(self) -> str:
        if not self.poses:
            return "no person found"
        return "" if (self.scores >= self.visible).any() else "no keypoint is certain enough to be drawn"

    def smoothed(self, before: PoseResult, weight: NDArray[np.float32]) -> PoseResult:
        """Each person with the one before whose box overlaps it most; the weight is that at the keypoints."""
        poses = []
        for pose in self.poses:
            near = max(before.poses, key=lambda other: _overlap(pose.box, other.box), default=None)
            if near is None or _overlap(pose.box, near.box) < _SAME:
                poses.append(pose)
                continue
            rows, columns = pose.points.round().astype(int).T[::-1]
            share = weight[rows.clip(0, weight.shape[0] - 1), columns.clip(0, weight.shape[1] - 1)][:, None]
            poses.append(pose._replace(points=share * near.points + (1 - share) * pose.points))
        return PoseResult(self.image, poses, self.spec, self.visible)

    def difference(self, other: PoseResult) -> NDArray[np.float32]:
        """Pixels between the keypoints of persons that are in both."""
        found = [np.zeros((0, len(self.spec.names)), np.float32)]
        for pose in self.poses:
            near = max(other.poses, key=lambda one: _overlap(pose.box, one.box), default=None)
            if near is not None and _overlap(pose.box, near.box) >= _SAME:
                found.append(np.linalg.norm(pose.points - near.points, axis=-1)[None])
        return np.concatenate(found)

    def write(self, stem: Path) -> list[Path]:
        """``<stem>_pose.json`` (a list of persons: box, keypoints as x, y, score by name) and ``<stem>_pose.png``."""
        described, drawn = files = [stem.with_name(stem.name + ending) for ending in self.endings]
        persons = [asdict(person) for person in self.found.persons]
        write_string(described, json.dumps(persons, indent=1) + "\n")
        write_picture(drawn, self.picture())
        return files

    def __len__(self) -> int:
        return len(self.poses)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # of a sequence: both kinds of index
        return self.poses[index]

    def __iter__(self) -> Iterator[Pose]:
        return iter(self.poses)


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    tall = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0.0, wide) * max(0.0, tall)
    return shared / max(a[2] * a[3] + b[2] * b[3] - shared, 1e-9)


def boxes_in(pixels: Picture, boxes: Sequence[Sequence[float]] | None) -> list[Box]:
    """Boxes (x, y, width, height) of persons in an image; None: the whole image is one.

    Raises:
        ConfigError: a box is not four numbers with a positive width and height, or lies outside the image.
    """
    height, width = pixels.shape[:2]
    if boxes is None:
        return [(0.0, 0.0, float(width), float(height))]
    return [_box(box, width, height) for box in boxes]


def _box(box: Sequence[float], width: int, height: int) -> Box:
    try:
        x, y, w, h = map(float, box)
        if not all(map(math.isfinite, (x, y, w, h))):
            raise ValueError("not finite")
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"boxes: expected four numbers x, y, width, height in pixels, found {box}.") from None
    # the part of the box that is inside the image
    columns, rows = min(x + w, width) - max(x, 0), min(y + h, height) - max(y, 0)
    if columns <= 0 or rows <= 0:
        raise ConfigError(f"boxes: {list(box)} is empty or outside the image of {width}x{height} pixels.")
    return (x, y, w, h)
