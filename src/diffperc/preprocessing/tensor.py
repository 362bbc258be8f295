"""From pixels to the tensor that a network reads."""

from __future__ import annotations

import torch
from torch import Tensor

from diffperc.types import Picture


def image_tensor(image: Picture) -> Tensor:
    """(H, W, 3) uint8 to (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
