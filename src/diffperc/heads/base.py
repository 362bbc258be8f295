"""The protocol of a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from diffperc.types import Features


class Auxiliary(NamedTuple):
    """A further output of a head in training: the weight of its loss, and (B, K, h, w)."""

    weight: float
    dense: Tensor


class Head(nn.Module, ABC):
    """Reads features, knows nothing of the strategy they come from.

    Two stages, because the maps of a padded image are cropped between them: VPD aggregates the padded maps and decodes
    the cropped ones (methods.md 1.3).

    Args of every constructor:
        spec: the features it gets.
        out_channels: K, given by the task.

    Attributes:
        align_corners: how its output is brought to the size of the image.
    """

    align_corners: bool = False

    def aggregate(self, features: Features) -> Features:
        """Combine maps at the sizes the backbone made; by default nothing."""
        return features

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Aggregated features to (B, K, h, w)."""

    def auxiliary(self, features: Features) -> tuple[Auxiliary, ...]:
        """Further outputs that are trained beside the first; by default none."""
        return ()
