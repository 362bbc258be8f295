"""The contracts between the parts. Shapes are checked where an object is built.

Letters: B batch, H W image size, N tokens, D token width, C channels, K outputs of a task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from diffperc.checks import check_dtype, check_shape
from diffperc.protocols import Protocol, protocol_from_dict, protocol_to_dict
from diffperc.types.keypoints import KeypointSpec


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set offers, and the numbers that follow from it.

    Attributes:
        name: as printed.
        provides: which truths a sample carries, of ``depth``, ``mask``, ``expression``, ``keypoints``.
        classes: names of the semantic classes, in the order of their ids.
        scenes: names of the scene labels, in the order of their ids.
        max_depth: metres, the largest depth a network can express on this data.
        short_side: pixels; to predict, images are resized to this short side, None: left as they are. In training the
            data set's augmentation sets the scale.
        input_size: (H, W) pixels; images were resized to just this, whatever their shape; for pose the size of a
            person's crop.
        ignore_index: the class id that is never counted.
        keypoints: which keypoints a person has.
        expression_length: tokens an expression is padded or cut to.
        protocols: by task, how it is evaluated here.
    """

    name: str
    provides: tuple[str, ...]
    classes: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    max_depth: float | None = None
    short_side: int | None = None
    input_size: tuple[int, int] | None = None
    ignore_index: int = 255
    keypoints: KeypointSpec | None = None
    expression_length: int = 40
    protocols: Mapping[str, Protocol] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        plain = dataclasses.asdict(dataclasses.replace(self, protocols={}))
        return plain | {"protocols": {task: protocol_to_dict(p) for task, p in self.protocols.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DatasetInfo:
        """The inverse of `to_dict`."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        plain["protocols"] = {task: protocol_from_dict(p) for task, p in plain["protocols"].items()}
        if plain.get("keypoints") is not None:
            plain["keypoints"] = KeypointSpec.from_dict(plain["keypoints"])
        return cls(**plain)


@dataclass(frozen=True)
class TextSpec:
    """The words a task offers to a strategy that reads words.

    Attributes:
        kind: ``scene``: one label an image, `Batch.scene` (depth); ``names``: what the outputs are called, the same for
            every image (class names, keypoint names); ``expression``: a sentence an image, `Batch.expression`
            (referring), and `names` are the categories of what it refers to.
        names: in the order of their ids; `Batch.labels` says which of them occur in an image.
        length: tokens an expression is padded or cut to.
    """

    kind: Literal["scene", "names", "expression"]
    names: tuple[str, ...] = ()
    length: int = 40


@dataclass(frozen=True)
class Person:
    """One person to find the keypoints of. Lengths in pixels of the image as stored.

    Attributes:
        box: (x, y, width, height), left upper corner.
        keypoints: K rows (x, y, visibility): 0 not labelled, 1 labelled but hidden, 2 visible; empty if unknown.
        area: of the person in square pixels, as COCO's evaluation scales errors by it.
        image_id, annotation_id: of the COCO file; annotation -1 for a detection.
        score: of the box, 1 for a true one.
    """

    box: tuple[float, float, float, float]
    keypoints: tuple[tuple[float, float, float], ...] = ()
    area: float = 0.0
    image_id: int = 0
    annotation_id: int = -1
    score: float = 1.0


@dataclass(frozen=True)
class SampleMeta:
    """Where a sample came from. Never reaches the network, except that TADP looks captions up by `path`.

    Attributes:
        path: the image file, or a name such as ``scenes/val/12``; empty for a photograph to predict.
        size: (H, W) of the image as stored.
        person: for pose, whose crop the image is.
        crop: for pose, the rows (a, b, c), (d, e, f) that take a point of the crop to a point of the image as stored:
            x' = a x + b y + c, y' = d x + e y + f.
    """

    path: str
    size: tuple[int, int]
    person: Person | None = None
    crop: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None


@dataclass(frozen=True)
class Batch:
    """What a task trains on and a model predicts from.

    Attributes:
        image: (B, 3, H, W) float32 RGB in [0, 1].
        targets: ``depth`` (B, 1, h, w) float32 in metres, 0 = no measurement; ``mask`` (B, h, w) int64 class ids;
            ``referent`` (B, h, w) int64, 1 where the expression points; ``heatmap`` (B, K, h, w) float32 and
            ``heatmap_weight`` (B, K). In evaluation the truth keeps its own size, which may differ from the image's.
        scene: (B,) int64, index into `DatasetInfo.scenes`; -1 = unknown.
        labels: (B, K) bool, which of the task's names occur in the image after crops.
        expression: one sentence an image.
        caption: one sentence an image about all of it, where the data set has them.
        expression_tokens: (B, T, D), the sentences encoded; the model fills them in where they are not given.
        meta: one `SampleMeta` an image.
    """

    image: Tensor
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    scene: Tensor | None = None
    labels: Tensor | None = None
    expression: tuple[str, ...] | None = None
    caption: tuple[str, ...] | None = None
    expression_tokens: Tensor | None = None
    meta: tuple[SampleMeta, ...] = ()

    def __post_init__(self) -> None:
        b = check_shape("Batch.image", self.image, "B 3 H W")["B"]
        for name, dims in _TARGETS.items():
            if name in self.targets:
                check_shape(f"Batch.targets['{name}']", self.targets[name], dims, B=b)
        if self.scene is not None:
            check_shape("Batch.scene", self.scene, "B", B=b)
            check_dtype("Batch.scene", self.scene, torch.int64)
        if self.labels is not None:
            check_shape("Batch.labels", self.labels, "B K", B=b)
            check_dtype("Batch.labels", self.labels, torch.bool)
        if self.expression is not None and len(self.expression) != b:
            raise ValueError(f"Batch.expression must hold one sentence an image: {b}, got {len(self.expression)}")
        if self.caption is not None and len(self.caption) != b:
            raise ValueError(f"Batch.caption must hold one sentence an image: {b}, got {len(self.caption)}")
        if self.expression_tokens is not None:
            check_shape("Batch.expression_tokens", self.expression_tokens, "B T D", B=b)

    def __len__(self) -> int:
        return self.image.shape[0]

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """A batch with `function` applied to every tensor."""
        optional = {name: getattr(self, name) for name in ("scene", "labels", "expression_tokens")}
        moved: dict[str, Any] = {k: None if v is None else function(v) for k, v in optional.items()}
        return dataclasses.replace(
            self,
            image=function(self.image),
            targets={k: function(v) for k, v in self.targets.items()},
            **moved,
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Move every tensor to a device; Lightning moves batches with it."""
        return self.map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """As `torch.Tensor.pin_memory`; the DataLoader calls it."""
        return self.map(lambda t: t.pin_memory())


_TARGETS = {
    "depth": "B 1 h w",
    "mask": "B h w",
    "referent": "B h w",
    "heatmap": "B K h w",
    "heatmap_weight": "B K",
}


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
class Extra:
    """A further output of a training pass.

    Attributes:
        name: such as ``explicit`` or ``auxiliary``.
        weight: of its loss.
        dense: as `Prediction.dense`.
        auxiliary: from an auxiliary head, which some tasks give another loss.
    """

    name: str
    weight: float
    dense: Tensor
    auxiliary: bool = False


@dataclass(frozen=True)
class Prediction:
    """What a model answers.

    Attributes:
        dense: (B, K, H, W) in the task's units (depth: metres; masks: logits; pose: heatmaps), at the image's size
            divided by the task's output stride.
        weight: of its loss.
        extras: further outputs that are trained beside it.
    """

    dense: Tensor
    weight: float = 1.0
    extras: tuple[Extra, ...] = ()
