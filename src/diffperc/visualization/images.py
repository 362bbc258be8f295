"""Images of a batch as uint8 arrays."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from diffperc.types import Batch, Picture


def image_of(batch: Batch, i: int) -> Picture:
    """Image `i` of a batch as (H, W, 3) uint8."""
    pixels: Picture = (batch.image[i].permute(1, 2, 0).float().cpu().numpy() * 255).round().astype(np.uint8)
    return pixels


def at_size(image: Picture, target: Tensor) -> Picture:
    """An image at the size of ground truth (..., h, w), which is also the size of drawn results."""
    height, width = target.shape[-2:]
    if image.shape[:2] == (height, width):
        return image
    resized: Picture = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized
