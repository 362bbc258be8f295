"""Map-style datasets over the corpus, its tokens and its latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset


class ImageDataset(Dataset[Tensor]):
    """Images (3, S, S) in [0, 1], or random crops of them.

    Args:
        images: (N, S, S, 3) uint8.
        indices: of the images that belong to the dataset.
        crop: side of the crops in pixels; they start at multiples of 8 and are mirrored half of the time. None: whole
            images.
    """

    def __init__(self, images: NDArray[np.uint8], indices: Sequence[int], crop: int | None = None) -> None:
        self.images, self.indices, self.crop = images, indices, crop

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Tensor:
        pixels = self.images[self.indices[i]]
        if self.crop is not None:
            pixels = _random_crop(pixels, self.crop)
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


class PairDataset(Dataset[tuple[Tensor, Tensor]]):
    """Two sequences of equal length, item by item.

    Args:
        first: a tensor or a data set.
        second: another of the same length.
        indices: of the items that belong to the dataset.
    """

    def __init__(self, first: Any, second: Any, indices: Sequence[int]) -> None:
        self.first, self.second, self.indices = first, second, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.first[self.indices[i]], self.second[self.indices[i]]


def _random_crop(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    top = 8 * int(torch.randint((height - side) // 8 + 1, ()))
    left = 8 * int(torch.randint((width - side) // 8 + 1, ()))
    part = pixels[top : top + side, left : left + side]
    return part[:, ::-1] if torch.rand(()) < 0.5 else part
