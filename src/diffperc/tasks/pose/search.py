"""Finding persons by the pose network's own heat: where its heatmaps are high in a window, a person fills that window.

Windows of the shape of the network's crop are predicted all over the image, at several sizes; those with much heat are
narrowed to the keypoints that were found in them and predicted again.

A network that has only seen crops of persons, as top-down networks have, sees persons in furniture too: a detector is far
more reliable. Of 12 rooms without anybody, tiny-pose finds "persons" of a mean confidence of 0.2 to 0.5 in every one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from diffperc.metrics.keypoints import oks_nms
from diffperc.results.pose import Box, Pose
from diffperc.types import KeypointSpec

_HEIGHTS = (1.0, 0.7, 0.5, 0.35)  # of the windows, as shares of the image's
_STEP = 0.3  # of a window's side, to the next
_MOST = 12  # windows that are looked at again
_GROWN = 1.3  # the box of a person, as a multiple of that of the joints: joints lie inside of a body's outline
_ALIKE = 0.3  # OKS above which two windows show the same person


def windows(height: int, width: int, shape: float) -> list[Box]:
    """Boxes (x, y, width, height) all over an image; the first is the whole image.

    Args:
        height: of the image in pixels.
        width: of the image in pixels.
        shape: height of a window per width.
    """
    found: list[Box] = [(0.0, 0.0, float(width), float(height))]
    for share in _HEIGHTS:
        tall = share * height
        wide = tall / shape
        if wide > width:
            wide, tall = float(width), width * shape
        for y in _starts(height, tall):
            found += [(x, y, wide, tall) for x in _starts(width, wide)]
    return found


def _starts(length: float, side: float) -> list[float]:
    count = 1 + int(np.ceil(max(0.0, length - side) / (_STEP * side)))
    return np.linspace(0, max(0.0, length - side), count).tolist()


def find_persons(
    predict: Callable[[Sequence[Box]], list[Pose]],
    size: tuple[int, int],
    shape: float,
    spec: KeypointSpec,
    visible: float,
    least: float,
) -> list[Box]:
    """Boxes of persons in an image, the most certain first.

    Args:
        predict: boxes to the poses in them.
        size: (H, W) of the image.
        shape: height of the network's crop per width.
        spec: which keypoints.
        visible: the confidence from which on a keypoint belongs to its person's box.
        least: the mean confidence of its keypoints from which on a person counts.
    """
    height, width = size
    hot = _best(predict(windows(height, width, shape)), spec, least)[:_MOST]
    if not hot:
        return []
    narrowed = [_around(pose, visible, height, width) for pose in hot]
    return [pose.box for pose in _best(predict(narrowed), spec, least)]


def _best(poses: Sequence[Pose], spec: KeypointSpec, least: float) -> list[Pose]:
    """Those with enough heat, each person once, the most certain first."""
    warm = [pose for pose in poses if _heat(pose) >= least]
    if not warm:
        return []
    points = np.stack([pose.points for pose in warm]).astype(np.float64)
    areas = np.array([pose.box[2] * pose.box[3] * 0.5 for pose in warm])
    kept = oks_nms(points, np.array([_heat(pose) for pose in warm]), areas, spec.sigmas, _ALIKE)
    return [warm[i] for i in kept]


def _heat(pose: Pose) -> float:
    """The mean confidence; keypoints outside of their box do not belong to the person that it shows."""
    x, y, width, height = pose.box
    inside = (pose.points >= (x, y)).all(1) & (pose.points <= (x + width, y + height)).all(1)
    return float((pose.confidence.clip(0, 1) * inside).mean())


def _around(pose: Pose, visible: float, height: int, width: int) -> Box:
    """The box of the certain keypoints, grown to that of a person, within the image."""
    points = pose.points[pose.confidence >= visible]
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2 * _GROWN, 2.0)
    x0, y0 = np.maximum(middle - half, 0)
    x1, y1 = np.minimum(middle + half, (width, height))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return pose.box
    return (float(x0), float(y0), float(x1 - x0), float(y1 - y0))
