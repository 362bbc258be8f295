"""What an image shows of a person: body keypoints, the box around the person and its area."""

import numpy as np

from diffperc.scenes.render import Rendered
from diffperc.scenes.shapes import Floats
from diffperc.scenes.world import Scene
from diffperc.types.keypoints import COCO_KEYPOINTS

_THICKNESS = {"nose": 0.05, "eye": 0.05, "ear": 0.05, "shoulder": 0.14, "elbow": 0.1, "wrist": 0.09, "hip": 0.16}
_THICKNESS |= {"knee": 0.12, "ankle": 0.11}
_BEHIND = np.array([_THICKNESS[name.split("_")[-1]] for name in COCO_KEYPOINTS.names])
"""Metres that each keypoint may lie behind the surface seen there and still be visible: the body around it."""


def keypoints(scene: Scene, rendered: Rendered, number: int) -> Floats:
    """COCO's keypoints (17, 3) for the person objects[number]: u and v in pixels, and the visibility.

    Visibility is 0 outside the image (with u = v = 0), 1 behind something else or the person's own body, 2 if seen.
    """
    height, width = rendered.depth.shape
    pixels, depths = scene.camera.project(scene.objects[number].joints, (height, width))
    u, v = pixels.T
    inside = (depths > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    columns, rows = np.where(inside, u, 0).astype(np.intp), np.where(inside, v, 0).astype(np.intp)
    seen = rendered.instance[rows, columns] == number + 1
    seen &= depths <= rendered.depth[rows, columns] + _BEHIND
    return np.where(inside, np.stack([u, v, 1.0 + seen]), 0.0).T.astype(np.float32)


def extent(rendered: Rendered, number: int) -> tuple[tuple[float, float, float, float], int]:
    """Box (x, y, width, height) in pixels around the visible part of objects[number], and that part's area in pixels.

    Both are zero for an object that is not visible.
    """
    rows, columns = np.nonzero(rendered.instance == number + 1)
    if not rows.size:
        return (0.0, 0.0, 0.0, 0.0), 0
    x, y = int(columns.min()), int(rows.min())
    return (float(x), float(y), float(columns.max() + 1 - x), float(rows.max() + 1 - y)), rows.size
