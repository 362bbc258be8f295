"""The contracts between the parts. Shapes are checked where an object is built.

Letters: B batch, H W image size, N tokens, D token width, C channels, K outputs of a task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from diffperc.checks import check_dtype, check_shape


@dataclass(frozen=True)
class DepthProtocol:
    """How depth is evaluated: which pixels count, and how a whole image is predicted.

    Attributes:
        name: printed with every result, such as ``nyu_eigen``.
        min_depth, max_depth: metres; truth outside (min_depth, max_depth) is not counted.
        crop: (top, bottom, left, right) in pixels of an image of `crop_size`, bottom and right exclusive; truth of
            another size gets the same crop in proportion.
        crop_size: (height, width) for which `crop` was published.
        windows: how many square windows along the wider axis are predicted and averaged where they overlap; 1
            predicts the whole image at once.
        flip: average with the prediction of the mirrored image.
    """

    name: str
    min_depth: float
    max_depth: float
    crop: tuple[int, int, int, int] | None = None
    crop_size: tuple[int, int] | None = None
    windows: int = 1
    flip: bool = False


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set offers, and the numbers that follow from it.

    Attributes:
        name: as printed.
        provides: which truths a sample carries, of ``depth``, ``mask``, ``expression``, ``keypoints``, ``caption``.
        classes: names of the semantic classes, in the order of their ids.
        scenes: names of the scene labels, in the order of their ids.
        max_depth: metres, the largest depth a network can express on this data.
        short_side: pixels; images were resized to this short side for the network, None: left as they are.
        ignore_index: the class id that is never counted.
        protocol: how depth is evaluated here.
    """

    name: str
    provides: tuple[str, ...]
    classes: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    max_depth: float | None = None
    short_side: int | None = None
    ignore_index: int = 255
    protocol: DepthProtocol | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DatasetInfo:
        """The inverse of `to_dict`."""
        plain: dict[str, Any] = {k: _tuples(v) for k, v in values.items()}
        if plain.get("protocol") is not None:
            plain["protocol"] = DepthProtocol(**{k: _tuples(v) for k, v in plain["protocol"].items()})
        return cls(**plain)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class SampleMeta:
    """Where a sample came from. Never reaches the network.

    Attributes:
        path: the image file, or a name such as ``scenes/val/12``.
        size: (H, W) of the image as stored.
    """

    path: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Batch:
    """What a task trains on and a model predicts from.

    Attributes:
        image: (B, 3, H, W) float32 RGB in [0, 1].
        targets: ``depth`` (B, 1, h, w) float32 in metres, 0 = no measurement; ``mask`` (B, h, w) int64 class ids. In
            evaluation the truth keeps its own size, which may differ from the image's.
        scene: (B,) int64, index into `DatasetInfo.scenes`; -1 = unknown.
        caption: one sentence an image, where the data set has them.
        meta: one `SampleMeta` an image.
    """

    image: Tensor
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    scene: Tensor | None = None
    caption: tuple[str, ...] | None = None
    meta: tuple[SampleMeta, ...] = ()

    def __post_init__(self) -> None:
        b = check_shape("Batch.image", self.image, "B 3 H W")["B"]
        if "depth" in self.targets:
            check_shape("Batch.targets['depth']", self.targets["depth"], "B 1 h w", B=b)
        if "mask" in self.targets:
            check_shape("Batch.targets['mask']", self.targets["mask"], "B h w", B=b)
        if self.scene is not None:
            check_shape("Batch.scene", self.scene, "B", B=b)
            check_dtype("Batch.scene", self.scene, torch.int64)

    def __len__(self) -> int:
        return self.image.shape[0]

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """A batch with `function` applied to every tensor."""
        return dataclasses.replace(
            self,
            image=function(self.image),
            targets={k: function(v) for k, v in self.targets.items()},
            scene=None if self.scene is None else function(self.scene),
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Move every tensor to a device; Lightning moves batches with it."""
        return self.map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """As `torch.Tensor.pin_memory`; the DataLoader calls it."""
        return self.map(lambda t: t.pin_memory())


@dataclass(frozen=True)
class FeatureSpec:
    """Channels and strides of feature maps, finest first; strides in pixels of the image the backbone saw."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.strides) or not self.channels:
            raise ValueError(f"FeatureSpec needs one stride a map, got {self.channels} and {self.strides}")
        if list(self.strides) != sorted(set(self.strides)):
            raise ValueError(f"FeatureSpec.strides must grow, finest first, got {self.strides}")


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
    """What drives the UNet.

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
class Prediction:
    """What a model answers.

    Attributes:
        dense: (B, K, H, W) at image size, in the task's units (depth: metres).
        extras: the further branches of a training pass: (name, weight of its loss, dense).
    """

    dense: Tensor
    weight: float = 1.0
    extras: tuple[tuple[str, float, Tensor], ...] = ()
