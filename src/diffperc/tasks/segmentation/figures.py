"""Segmentation at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from diffperc.metrics.segmentation import class_ids
from diffperc.types import Batch, Picture
from diffperc.visualization.colours import PREDICTION, class_colours
from diffperc.visualization.images import at_size, image_of
from diffperc.visualization.overlays import legend_of, overlay
from diffperc.visualization.panels import panels


def segmentation_figure(batch: Batch, dense: Tensor, i: int, classes: Sequence[str]) -> Picture:
    """Image, annotated classes, predicted classes, errors in vermilion; a legend by area.

    Args:
        batch: with the target ``mask``.
        dense: (B, K, h, w) probabilities or logits, at the size of the target.
        i: which sample.
        classes: names in the order of their ids.
    """
    mask = batch.targets["mask"][i].cpu().numpy()
    found = class_ids(dense[i], 0).cpu().numpy()
    image = at_size(image_of(batch, i), batch.targets["mask"])
    colours = class_colours(len(classes))
    counted = mask < len(classes)
    wrong = image // 3
    wrong[counted & (mask != found)] = PREDICTION
    share = float((mask == found)[counted].mean()) if counted.any() else float("nan")
    return panels(
        [
            ("image", image),
            ("ground truth", overlay(image, mask, colours)),
            ("prediction", overlay(image, found, colours)),
            (f"{share:.0%} right, errors marked", wrong),
        ],
        # of both: a share would be that of neither
        legend=legend_of(classes, np.concatenate([mask[counted], found.ravel()]), shares=False),
    )
