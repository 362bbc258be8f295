"""The interface of a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from diffperc.types import Features


class Auxiliary(NamedTuple):
    """A further output of a head in training: (B, K, h, w), and the weight of its loss."""

    weight: float
    dense: Tensor


class Head(nn.Module, ABC):
    """Computes a task's raw output from features, whichever strategy they come from.

    Two stages, because the maps of a padded image are cropped between them: VPD aggregates the padded maps and decodes
    the cropped ones (methods.md 1.3).

    Args of every constructor:
        spec: channels and strides of the features.
        out_channels: K, which the task defines.

    Attributes:
        align_corners: whether corners are aligned when its output is resized to the image.
        supplied: arguments that come from the program and not from a configuration.
    """

    supplied: ClassVar[tuple[str, ...]] = ("spec", "out_channels")
    align_corners: bool = False

    def aggregate(self, features: Features) -> Features:
        """Combine maps at the backbone's sizes; by default the features as they are."""
        return features

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Aggregated features to (B, K, h, w)."""

    def auxiliary(self, features: Features) -> tuple[Auxiliary, ...]:
        """Further outputs whose losses are added in training; by default none."""
        return ()
