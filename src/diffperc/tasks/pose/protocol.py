"""How keypoints are evaluated (methods.md 2.3)."""

from __future__ import annotations

from dataclasses import dataclass

from diffperc.ranges import Count, Share
from diffperc.types import Protocol


@dataclass(frozen=True, kw_only=True)
class PoseProtocol(Protocol):
    """How keypoints are found in heatmaps and scored.

    Attributes:
        visible: keypoints of at least this confidence make up a person's score, and are drawn.
        oks_nms: of two persons of one image with a similarity above this, the better one is kept.
        blur: side in pixels of the Gaussian that smooths a heatmap before its sub-pixel maximum is computed; odd.
    """

    visible: Share = 0.2
    oks_nms: Share = 0.9
    blur: Count = 11
