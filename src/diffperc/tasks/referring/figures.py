"""The figure of a referring segmentation sample."""

from __future__ import annotations

from torch import Tensor

from diffperc.types import Batch, Picture
from diffperc.visualization.colours import PREDICTION, TARGET
from diffperc.visualization.images import at_size, image_of
from diffperc.visualization.overlays import outlined
from diffperc.visualization.panels import panels


def referring_figure(batch: Batch, dense: Tensor, i: int) -> Picture:
    """The expression above the image, the annotated mask and the predicted one.

    Args:
        batch: with the target ``referent`` and expressions.
        dense: (B, 2, h, w) logits, at the size of the target.
        i: which sample.
    """
    assert batch.expression is not None
    target = batch.targets["referent"][i].cpu().numpy() > 0
    found = dense[i].argmax(0).cpu().numpy() > 0
    image = at_size(image_of(batch, i), batch.targets["referent"])
    union = int((target | found).sum())
    iou = float((target & found).sum() / union) if union else 0.0
    return panels(
        [
            ("image", image),
            ("ground truth", outlined(image, target, TARGET)),
            (f"prediction, IoU {iou:.2f}", outlined(image, found, PREDICTION)),
        ],
        title=f"“{batch.expression[i]}”",
    )
