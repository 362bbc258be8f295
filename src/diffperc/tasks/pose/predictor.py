"""From a person's crop to keypoints in the image (methods.md 2.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffperc.errors import ConfigError
from diffperc.inference.predictor import Predictor
from diffperc.inference.sliding_window import Predict
from diffperc.preprocessing import image_tensor
from diffperc.tasks.pose.heatmaps import decode, mirrored, to_image
from diffperc.tasks.pose.protocol import PoseProtocol
from diffperc.tasks.pose.writer import write_poses
from diffperc.types import Batch, Person, Picture, Sample, SampleMeta

Box = tuple[float, float, float, float]


class Pose(NamedTuple):
    """points: (K, 2) x, y in pixels of the image; confidence: (K,), about 1 if certain; box: x, y, width, height."""

    points: NDArray[np.float32]
    confidence: NDArray[np.float32]
    box: Box


def predict_heatmaps(predict: Predict, batch: Batch, swap: Sequence[int], flip: bool) -> Tensor:
    """Heatmaps (B, K, h, w), averaged with those of the mirrored crop."""
    heatmaps = predict(batch)
    if not flip:
        return heatmaps
    mirror = dataclasses.replace(batch, image=batch.image.flip(-1), targets={})
    return (heatmaps + mirrored(predict(mirror), swap)) / 2


def keypoints_in_image(heatmaps: Tensor, batch: Batch, blur: int) -> tuple[Tensor, Tensor]:
    """Points (B, K, 2) in pixels of the images as stored, and their confidence (B, K).

    Args:
        heatmaps: (B, K, h, w).
        batch: whose `meta` holds where each crop was taken.
        blur: see `decode`.
    """
    points, confidence = decode(heatmaps, blur)
    matrix = points.new_tensor([meta.crop for meta in batch.meta])
    crop, cells = batch.image.shape[-2:], heatmaps.shape[-2:]
    return to_image(points, (cells[0], cells[1]), (crop[0], crop[1]), matrix), confidence


class PosePredictor(Predictor):
    """Keypoints of persons."""

    options = ("boxes", "flip", "caption")
    endings = ("_pose.json", "_pose.png")

    def predict(
        self,
        pixels: Picture,
        boxes: Sequence[Sequence[float]] | None = None,
        flip: bool | None = None,
        caption: str | None = None,
    ) -> list[Pose]:
        """Predict one `Pose` per box.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            boxes: persons as (x, y, width, height) in pixels; None takes the whole image as one.
            flip: average with the mirror image; None: as the protocol does.
            caption: a sentence about the image, for strategies that read one; the same for each person.

        Raises:
            ConfigError: a box is not four numbers with a positive width and height, or lies outside the image.
        """
        height, width = pixels.shape[:2]
        whole = [(0.0, 0.0, float(width), float(height))]
        checked = whole if boxes is None else [_box(box, width, height) for box in boxes]
        protocol = self.protocol_with(flip)
        return [self._pose(pixels, box, protocol, caption) for box in checked]

    def write(self, stem: Path, image: Picture, result: Any, given: Mapping[str, Any] | None = None) -> str:
        assert self.info.keypoints is not None
        return write_poses(stem, image, result, self.info.keypoints, self.protocol.visible)

    def _pose(self, pixels: Picture, box: Box, protocol: PoseProtocol, caption: str | None) -> Pose:
        spec, crop = self.info.keypoints, self.preprocess.person_crop
        assert spec is not None
        assert crop is not None
        person = Person(box)
        done = crop(Sample("image", pixels, person=person), spec, None)
        batch = Batch(
            image_tensor(done.image)[None].to(self.device),
            caption=None if caption is None else (caption,),
            meta=(SampleMeta("", (pixels.shape[0], pixels.shape[1]), person, done.matrix),),
        )
        heatmaps = predict_heatmaps(self.dense, batch, spec.swap, protocol.flip)
        points, confidence = keypoints_in_image(heatmaps, batch, protocol.blur)
        return Pose(points[0].cpu().numpy(), confidence[0].cpu().numpy(), box)


def _box(box: Sequence[float], width: int, height: int) -> Box:
    try:
        x, y, w, h = map(float, box)
    except (TypeError, ValueError):
        raise ConfigError(f"boxes: expected four numbers x, y, width, height in pixels, found {box}.") from None
    # the part of the box that is inside the image
    columns, rows = min(x + w, width) - max(x, 0), min(y + h, height) - max(y, 0)
    if columns <= 0 or rows <= 0:
        raise ConfigError(f"boxes: {list(box)} is empty or outside the image of {width}x{height} pixels.")
    return (x, y, w, h)
