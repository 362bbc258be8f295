"""How single images are predicted: what a report shows of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffperc.types import Picture

_KEPT = 4000  # pixels of an image


@dataclass  # not frozen: Lightning moves what a step returns
class Case:
    """A validation image with its prediction.

    Attributes:
        path: of the image.
        error: of the whole image, in the task's `error_unit`.
        figure: (h, w, 3), the task's figure of it.
        samples: (n, 3) float32 of some pixels, or of all keypoints: confidence, error, and what the error is drawn against;
            NaN where that is nothing.
        confusion: (K, K) pixels by true and predicted class; None for tasks without classes.
    """

    path: str
    error: float
    figure: Picture
    samples: NDArray[np.float32]
    confusion: NDArray[np.int64] | None = None


def samples_of(confidence: Tensor, error: Tensor, against: Tensor | None) -> NDArray[np.float32]:
    """Some values where the error is known, drawn at random, always the same of one image.

    Args:
        confidence: of one image.
        error: of its shape; NaN where it is not known.
        against: of its shape; None: there is none.
    """
    others = torch.full_like(error, torch.nan) if against is None else against
    rows = torch.stack([confidence.flatten(), error.flatten(), others.flatten()], 1).float().cpu()
    rows = rows[torch.isfinite(rows[:, 1])]
    if len(rows) > _KEPT:
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:_KEPT]]
    return rows.numpy()
