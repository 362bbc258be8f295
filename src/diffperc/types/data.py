"""Data sets, samples and batches. Letters: B batch, H W image size, K outputs of a task, T tokens, D token width."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from diffperc.checks import check_dtype, check_shape
from diffperc.types.keypoints import KeypointSpec

if TYPE_CHECKING:  # exported models predict without torch, and use types of this module
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set contains, and the numbers that follow from it.

    Attributes:
        name: the name that is printed.
        classes: names of the semantic classes, in the order of their ids.
        scenes: names of the scene labels, in the order of their ids.
        max_depth: metres, the largest depth a network can express on this data.
        ignore_index: the class id that is never counted.
        keypoints: the keypoints of a person.
        expression_length: tokens to which an expression is padded or cut.
    """

    name: str
    classes: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    max_depth: float | None = None
    ignore_index: int = 255
    keypoints: KeypointSpec | None = None
    expression_length: int = 40

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DatasetInfo:
        """The inverse of `to_dict`."""
        plain: dict[str, Any] = {}
        for key, value in values.items():
            plain[key] = tuple(value) if isinstance(value, list) else value
        if plain.get("keypoints") is not None:
            plain["keypoints"] = KeypointSpec.from_dict(plain["keypoints"])
        return cls(**plain)


@dataclass(frozen=True)
class TextSpec:
    """The text that a task provides to strategies that read text.

    Attributes:
        kind: ``scene``: one label per image, `Batch.scene` (depth); ``names``: the names of the outputs, the same for
            every image (class names, keypoint names); ``expression``: one sentence per image, `Batch.expression`
            (referring), where `names` are the categories of the objects it may refer to.
        names: in the order of their ids; `Batch.labels` holds which of them occur in an image.
        length: tokens to which an expression is padded or cut.
    """

    kind: Literal["scene", "names", "expression"]
    names: tuple[str, ...] = ()
    length: int = 40


@dataclass(frozen=True)
class Person:
    """One person whose keypoints are to be found. Lengths in pixels of the image as stored.

    Attributes:
        box: (x, y, width, height), upper left corner.
        keypoints: K rows (x, y, visibility): 0 not labelled, 1 labelled but hidden, 2 visible; empty if unknown.
        area: area of the person in square pixels, by which COCO's evaluation scales errors.
        image_id: that of the COCO file.
        annotation_id: that of the COCO file; -1 for a detection.
        score: confidence of the box; 1 for an annotated box.
    """

    box: tuple[float, float, float, float]
    keypoints: tuple[tuple[float, float, float], ...] = ()
    area: float = 0.0
    image_id: int = 0
    annotation_id: int = -1
    score: float = 1.0


@dataclass(frozen=True)
class Sample:
    """One image with its ground truth, as stored.

    Attributes:
        path: the image file, or a name such as ``scenes/val/12``.
        image: (H, W, 3) uint8 RGB.
        targets: by name, arrays (H, W) or (H, W, C), as the target of that name describes them (`diffperc.targets`).
        scene: index into the data set's scenes, -1 unknown.
        expressions: sentences that each name the referent; training draws one.
        category: the referent's index into the data set's classes, -1 unknown.
        person: the person whose keypoints are to be found.
        caption: a sentence about the whole image.
        files: the image on disk, and its ground truth if that is a file of its own; empty for what is rendered.
    """

    path: str
    image: NDArray[np.uint8]
    targets: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    scene: int = -1
    expressions: tuple[str, ...] = ()
    category: int = -1
    person: Person | None = None
    caption: str | None = None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class SampleMeta:
    """Where a sample came from. Never reaches the network, except that TADP looks captions up by `path`.

    Attributes:
        path: the image file, or a name such as ``scenes/val/12``; empty for an image to predict.
        size: (H, W) of the image as stored.
        person: for pose, the person whose crop the image is.
        crop: for pose, the rows (a, b, c), (d, e, f) that map a point of the crop to a point of the image as stored:
            x' = a x + b y + c, y' = d x + e y + f.
    """

    path: str
    size: tuple[int, int]
    person: Person | None = None
    crop: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None


def _check_count(name: str, values: Sized | None, images: int) -> None:
    if values is not None and len(values) != images:
        raise ValueError(f"{name} must hold one entry per image: {images}, got {len(values)}")


_TENSORS = ("scene", "labels", "expression_tokens", "caption_tokens")
"""Fields of `Batch` with one row per image, where they are given."""


@dataclass(frozen=True)
class Batch:
    """What a task trains on and a model predicts from.

    Attributes:
        image: (B, 3, H, W) float32 RGB in [0, 1].
        targets: by name, tensors (B, ...) as the target of that name describes them: ``depth`` (B, 1, h, w) float32 in
            metres, 0 = not measured; ``mask`` (B, h, w) int64 class ids; ``referent`` (B, h, w) int64, 1 where the
            expression points; ``heatmap`` (B, K, h, w) float32 and ``heatmap_weight`` (B, K). In evaluation the ground
            truth keeps its own size, which may differ from the image's.
        scene: (B,) int64, index into `DatasetInfo.scenes`; -1 = unknown.
        labels: (B, K) bool, which of the task's names occur in the image after cropping.
        expression: one sentence per image.
        caption: one sentence per image about the whole of it, where the data set has captions.
        expression_tokens: (B, T, D), the encoded sentences; the model fills them in where they are not given.
        caption_tokens: (B, T, D), the encoded captions; strategies that read them encode `caption` where they are not given.
        meta: one `SampleMeta` per image.
    """

    image: Tensor
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    scene: Tensor | None = None
    labels: Tensor | None = None
    expression: tuple[str, ...] | None = None
    caption: tuple[str, ...] | None = None
    expression_tokens: Tensor | None = None
    caption_tokens: Tensor | None = None
    meta: tuple[SampleMeta, ...] = ()

    def __post_init__(self) -> None:
        b = check_shape("Batch.image", self.image, "B 3 H W")["B"]
        for name, target in self.targets.items():
            _check_count(f"Batch.targets['{name}']", target, b)
        if self.scene is not None:
            check_shape("Batch.scene", self.scene, "B", B=b)
            check_dtype("Batch.scene", self.scene, "int64")
        if self.labels is not None:
            check_shape("Batch.labels", self.labels, "B K", B=b)
            check_dtype("Batch.labels", self.labels, "bool")
        _check_count("Batch.expression", self.expression, b)
        _check_count("Batch.caption", self.caption, b)
        for name, tokens in (("expression", self.expression_tokens), ("caption", self.caption_tokens)):
            if tokens is not None:
                check_shape(f"Batch.{name}_tokens", tokens, "B T D", B=b)

    def __len__(self) -> int:
        return self.image.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the images."""
        return self.image.shape[-2], self.image.shape[-1]

    def with_views(self, images: Sequence[Tensor]) -> Batch:
        """A batch of several views of these images, without ground truth.

        Args:
            images: (B, 3, h, w) each, of one size.
        """
        import torch

        n = len(images)
        known: dict[str, Any] = {name: getattr(self, name) for name in _TENSORS}
        repeated: dict[str, Any] = {
            name: None if value is None else value.repeat(n, *[1] * (value.dim() - 1)) for name, value in known.items()
        }
        for name in ("expression", "caption"):
            value = getattr(self, name)
            repeated[name] = None if value is None else value * n
        return Batch(torch.cat(list(images)), meta=self.meta * n, **repeated)

    @property
    def form(self) -> tuple[Any, ...]:
        """What must be equal of batches for them to be joined: shapes and types per image, and what is known of each."""
        tensors = (self.image, *(getattr(self, name) for name in _TENSORS))
        shapes = tuple(None if t is None else (t.shape[1:], t.dtype, t.device) for t in tensors)
        return (*shapes, self.expression is None, self.caption is None, not self.meta)

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """The images of several batches of equal `form` as one batch, without ground truth."""
        import torch

        if len(batches) == 1:
            return batches[0]
        found: dict[str, Any] = {}
        for name in _TENSORS:
            values = [getattr(batch, name) for batch in batches]
            found[name] = None if values[0] is None else torch.cat(values)
        for name in ("expression", "caption"):
            values = [getattr(batch, name) for batch in batches]
            found[name] = None if values[0] is None else tuple(itertools.chain(*values))
        meta = tuple(itertools.chain(*(batch.meta for batch in batches)))
        return cls(torch.cat([batch.image for batch in batches]), meta=meta, **found)

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """A batch with `function` applied to every tensor."""
        moved: dict[str, Any] = {}
        for name in _TENSORS:
            value = getattr(self, name)
            moved[name] = None if value is None else function(value)
        targets = {name: function(target) for name, target in self.targets.items()}
        return dataclasses.replace(self, image=function(self.image), targets=targets, **moved)

    def to(self, device: torch.device | str) -> Batch:
        """Move every tensor to a device; Lightning moves batches with it. Pinned memory goes to a GPU asynchronously."""
        # the other way the copy could be read before it is there
        non_blocking = str(device).startswith("cuda")
        return self.map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Apply `torch.Tensor.pin_memory` to every tensor; the DataLoader calls it."""
        return self.map(lambda t: t.pin_memory())
