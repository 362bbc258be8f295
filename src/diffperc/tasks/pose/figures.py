"""The figure of a pose sample."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffperc.tasks.pose.heatmaps import decode, to_image
from diffperc.tasks.pose.protocol import PoseProtocol
from diffperc.types import Batch, KeypointSpec, Picture
from diffperc.visualization.colours import Scale
from diffperc.visualization.images import image_of
from diffperc.visualization.overlays import skeleton
from diffperc.visualization.panels import panels


def pose_figure(batch: Batch, dense: Tensor, i: int, spec: KeypointSpec, protocol: PoseProtocol) -> Picture:
    """The crop, the annotated skeleton, the predicted one, and the maximum of all heatmaps at each cell.

    Args:
        batch: whose `meta` holds persons.
        dense: (B, K, h, w) heatmaps.
        i: which sample.
        spec: which keypoints.
        protocol: how keypoints are found, and the confidence from which on they are drawn.
    """
    image = image_of(batch, i)
    heatmaps = dense[i : i + 1].float().cpu()
    points, confidence = decode(heatmaps, protocol.blur)
    cells, crop = heatmaps.shape[-2:], image.shape[:2]
    found = to_image(points, (cells[0], cells[1]), (crop[0], crop[1]), torch.eye(2, 3)[None])[0].numpy()
    annotated, labelled = _annotation_in_crop(batch, i)
    shown = confidence[0].numpy() >= protocol.visible
    heat = Scale(0, 1, colormap="magma")
    return panels(
        [
            ("person", image),
            ("ground truth", skeleton(image, annotated, labelled, spec)),
            ("prediction", skeleton(image, found, shown, spec)),
            ("heatmaps", heat.draw(heatmaps[0].amax(0).numpy()), heat),
        ]
    )


def _annotation_in_crop(batch: Batch, i: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Annotated keypoints (K, 2) in pixels of the crop, and which of them are labelled."""
    meta = batch.meta[i]
    assert meta.person is not None
    matrix = np.vstack([np.array(meta.crop), (0.0, 0.0, 1.0)])
    rows = np.array(meta.person.keypoints)
    points = np.linalg.solve(matrix, np.vstack([rows[:, :2].T, np.ones(len(rows))]))[:2].T
    return points, rows[:, 2] > 0
