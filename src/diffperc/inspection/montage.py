"""Pictures of samples with their truths, before anything is predicted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from diffperc.data.base import Sample
from diffperc.types import DatasetInfo
from diffperc.visualization.panels import TRUTH, Picture, class_colours, colour, outlined, overlay, panels, skeleton

_SPARSE = 0.2


def truth_figure(sample: Sample, info: DatasetInfo, split: str) -> Picture:
    """A sample of a split at a glance: the image, and its truth drawn over it."""
    image, legend, title = sample.image, [], ""
    drawn: list[tuple[str, Picture]] = []
    if sample.depth is not None:
        measured = sample.depth > 0
        low, high = (float(f(sample.depth[measured])) for f in (np.min, np.max)) if measured.any() else (0.0, 1.0)
        depth = colour(np.where(measured, sample.depth, np.nan), low, high)
        if measured.mean() < _SPARSE:  # single points would not be seen
            size = np.ones((2 * max(1, depth.shape[1] // 400) + 1,) * 2, np.uint8)
            points = cv2.dilate(measured.astype(np.uint8), size)[..., None] > 0
            depth = np.where(points, cv2.dilate(depth, size), image // 3).astype(np.uint8)
        drawn.append((f"depth {low:.1f} to {high:.1f} m, {measured.mean():.0%} measured", depth))
    if sample.mask is not None:
        colours = class_colours(len(info.classes))
        occurring = [int(c) for c in np.unique(sample.mask) if c < len(info.classes)]
        legend = [(info.classes[c], (int(colours[c][0]), int(colours[c][1]), int(colours[c][2]))) for c in occurring]
        drawn.append((f"{len(occurring)} classes", overlay(image, sample.mask, colours)))
    if sample.referent is not None:
        title = "; ".join(f"“{e}”" for e in sample.expressions[:3])
        drawn.append(("what is meant", outlined(image, sample.referent > 0, TRUTH)))
    if sample.person is not None and info.keypoints is not None:
        rows = np.array(sample.person.keypoints).reshape(-1, 3)
        x, y, width, height = (round(v) for v in sample.person.box)
        body = skeleton(image, rows[:, :2], rows[:, 2] > 0, info.keypoints) if len(rows) else image.copy()
        thick = max(1, round(min(image.shape[:2]) / 200))
        body[y : y + thick, x : x + width] = body[y + height - thick : y + height, x : x + width] = TRUTH
        body[y : y + height, x : x + thick] = body[y : y + height, x + width - thick : x + width] = TRUTH
        drawn.append((f"{int((rows[:, 2] > 0).sum())} keypoints", body))
    return panels([(f"{split}: {Path(sample.path).name}", image), *drawn], title=title, legend=legend)
