"""Evaluation protocols: how a task is scored on a data set. Printed and stored with every result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Protocol:
    """What all protocols have.

    Attributes:
        name: printed with every result, such as ``nyu_eigen``.
        flip: average with the prediction of the mirrored image.
    """

    name: str
    flip: bool = False

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, list):  # from a yaml or a checkpoint
                object.__setattr__(self, entry.name, tuple(value))


@dataclass(frozen=True, kw_only=True)
class DepthProtocol(Protocol):
    """Which pixels count, and how a whole image is predicted.

    Attributes:
        min_depth, max_depth: metres; truth outside (min_depth, max_depth) is not counted.
        crop: (top, bottom, left, right) in pixels of an image of `crop_size`, bottom and right exclusive; truth of
            another size gets the same crop in proportion.
        crop_size: (height, width) for which `crop` was published.
        windows: how many square windows along the wider axis are predicted and averaged where they overlap; 1
            predicts the whole image at once.
    """

    min_depth: float
    max_depth: float
    crop: tuple[int, int, int, int] | None = None
    crop_size: tuple[int, int] | None = None
    windows: int = 1


@dataclass(frozen=True, kw_only=True)
class SegmentationProtocol(Protocol):
    """How whole images are segmented (methods.md 1.1, 2.2).

    Attributes:
        window: side in pixels of square windows whose logits are averaged where they overlap; None: the whole image.
        stride: pixels from one window to the next.
        ratios: scales of the image whose probabilities are averaged.
    """

    window: int | None = None
    stride: int | None = None
    ratios: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, kw_only=True)
class ReferringProtocol(Protocol):
    """How referring segmentation is scored.

    Attributes:
        resized_truth: compare at the size the network saw, against the resized mask, as published (methods.md 1.2);
            False: at the size of the image.
    """

    resized_truth: bool = False


@dataclass(frozen=True, kw_only=True)
class PoseProtocol(Protocol):
    """How keypoints are scored (methods.md 2.3).

    Attributes:
        visible: keypoints of at least this confidence make up a person's score.
        oks_nms: of two persons of one image with a similarity above this, the better one is kept.
        blur: side in pixels of the Gaussian that smooths a heatmap before its sub-pixel maximum is sought; odd.
    """

    visible: float = 0.2
    oks_nms: float = 0.9
    blur: int = 11


_KINDS = {kind.__name__: kind for kind in (DepthProtocol, SegmentationProtocol, ReferringProtocol, PoseProtocol)}


def protocol_to_dict(protocol: Protocol) -> dict[str, Any]:
    """Plain values, for a checkpoint."""
    return {"kind": type(protocol).__name__, **dataclasses.asdict(protocol)}


def protocol_from_dict(values: Mapping[str, Any]) -> Protocol:
    """The inverse of `protocol_to_dict`."""
    plain = dict(values)
    return _KINDS[plain.pop("kind")](**plain)
