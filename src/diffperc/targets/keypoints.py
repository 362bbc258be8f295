"""Keypoints of one person."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffperc.types import DatasetInfo, Panel, Picture, Sample, Statistics, Target
from diffperc.visualization.colours import TARGET
from diffperc.visualization.overlays import skeleton

_OUTSIDE = "labelled keypoints outside of the image, share"
_FEW = 0.02


class KeypointsTarget(Target):
    """The keypoints of `Sample.person`; a batch holds ``heatmap`` (B, K, h, w) and ``heatmap_weight`` (B, K)."""

    name = "keypoints"
    sample = "person"
    counted = "keypoint"

    def statistics(self, sample: Sample, info: DatasetInfo) -> Statistics:
        assert sample.person is not None
        labelled = np.array([v > 0 for *_, v in sample.person.keypoints], dtype=np.int64)
        _, _, width, height = sample.person.box
        values = {"labelled keypoints": int(labelled.sum()), "box, pixels": width * height}
        if labelled.any():
            points = np.array(sample.person.keypoints)[labelled > 0, :2]
            limits = (sample.image.shape[1], sample.image.shape[0])
            values[_OUTSIDE] = float(((points < 0) | (points > limits)).any(1).mean())
        return Statistics(values, labelled)

    def counted_names(self, info: DatasetInfo) -> tuple[str, ...]:
        return () if info.keypoints is None else info.keypoints.names

    def problems(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        # boxes of a detector have no keypoints; scores are computed with the annotations
        if summary.counts.any() or not summary.counts.size:
            return []
        return [f"{split}: no person has a labelled keypoint, whose third number is 1 or 2; 0 means not labelled."]

    def notes(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        share = summary.mean(_OUTSIDE)
        if not share > _FEW:
            return []
        return [
            f"{split}: {share:.0%} of the labelled keypoints are outside of their image; do the coordinates belong to "
            "images of another size?"
        ]

    def panel(self, sample: Sample, info: DatasetInfo) -> Panel:
        assert sample.person is not None
        assert info.keypoints is not None
        rows = np.array(sample.person.keypoints).reshape(-1, 3)
        labelled = rows[:, 2] > 0
        picture = sample.image.copy()
        if len(rows):
            picture = skeleton(sample.image, rows[:, :2], labelled, info.keypoints)
        _draw_box(picture, sample.person.box)
        return Panel(f"{int(labelled.sum())} keypoints", picture)


def _draw_box(picture: Picture, box: tuple[float, float, float, float]) -> None:
    x, y, width, height = (round(value) for value in box)
    thick = max(1, round(min(picture.shape[:2]) / 200))
    picture[y : y + thick, x : x + width] = TARGET
    picture[y + height - thick : y + height, x : x + width] = TARGET
    picture[y : y + height, x : x + thick] = TARGET
    picture[y : y + height, x + width - thick : x + width] = TARGET
