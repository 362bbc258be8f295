"""The objects that backbone, strategy, head and task pass to each other.

Letters: B batch, H W image size, N tokens, D token width, C channels, K outputs of a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diffperc.checks import check_shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FeatureSpec:
    """Channels and strides of feature maps, finest first; strides in pixels of the image the backbone saw."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.channels or len(self.channels) != len(self.strides):
            raise ValueError(f"FeatureSpec needs one stride per map, got {self.channels} and {self.strides}")
        if list(self.strides) != sorted(set(self.strides)):
            raise ValueError(f"FeatureSpec.strides must increase, finest first, got {self.strides}")


@dataclass(frozen=True)
class Features:
    """Multi-scale feature maps.

    Attributes:
        maps: ``maps[i]`` (B, C_i, H/s_i, W/s_i), finest first.
        spec: their channels and strides.
        attention: by stride, cross-attention probabilities (B, N, h, w), averaged over heads and layers.
    """

    maps: tuple[Tensor, ...]
    spec: FeatureSpec
    attention: Mapping[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.maps) != len(self.spec.channels):
            raise ValueError(f"Features has {len(self.maps)} maps, its spec names {len(self.spec.channels)}")
        for i, (feature, channels) in enumerate(zip(self.maps, self.spec.channels, strict=True)):
            check_shape(f"Features.maps[{i}]", feature, "B C h w", C=channels, B=self.maps[0].shape[0])


@dataclass(frozen=True)
class Conditioning:
    """What conditions a pass of the UNet.

    Attributes:
        tokens: (B, N, D) context of the cross-attention.
        timestep: (B,) diffusion timestep, embedded by the UNet's own sinusoids and layers; or
        time_embedding: (B, T) in place of that embedding. Exactly one of the two is given.
    """

    tokens: Tensor
    timestep: Tensor | None = None
    time_embedding: Tensor | None = None

    def __post_init__(self) -> None:
        b = check_shape("Conditioning.tokens", self.tokens, "B N D")["B"]
        if (self.timestep is None) == (self.time_embedding is None):
            raise ValueError("Conditioning takes either a timestep or a time_embedding")
        if self.timestep is not None:
            check_shape("Conditioning.timestep", self.timestep, "B", B=b)
        if self.time_embedding is not None:
            check_shape("Conditioning.time_embedding", self.time_embedding, "B T", B=b)


@dataclass(frozen=True)
class Branch:
    """One way of conditioning the same image; `branches[0]` is the one that predicts, all are trained."""

    features: Features
    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Extra:
    """A further output of a training pass.

    Attributes:
        name: such as ``explicit`` or ``auxiliary``.
        weight: weight of its loss.
        dense: as `Prediction.dense`.
        auxiliary: whether it comes from an auxiliary head, for which some tasks use a different loss.
    """

    name: str
    weight: float
    dense: Tensor
    auxiliary: bool = False


@dataclass(frozen=True)
class Prediction:
    """What a model returns.

    Attributes:
        dense: (B, K, H, W) in the task's units (depth: metres; masks: logits; pose: heatmaps), at the image's size
            divided by the task's output stride.
        weight: weight of its loss.
        extras: further outputs that are trained as well.
    """

    dense: Tensor
    weight: float = 1.0
    extras: tuple[Extra, ...] = ()
