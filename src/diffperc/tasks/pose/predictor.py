"""From a person's crop to keypoints in the image (methods.md 2.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from diffperc.errors import ConfigError
from diffperc.inference.predictor import Predictor
from diffperc.inference.sliding_window import Predict, predict_each
from diffperc.preprocessing import PersonCrop, image_tensor
from diffperc.tasks.pose.heatmaps import decode, mirrored, to_image
from diffperc.tasks.pose.protocol import PoseProtocol
from diffperc.tasks.pose.result import Box, Pose, PoseResult
from diffperc.tasks.pose.search import find_persons
from diffperc.types import Batch, KeypointSpec, Person, Picture, Sample, SampleMeta


def predict_heatmaps(predict: Predict, batch: Batch, swap: Sequence[int], flip: bool, pixels: int = 0) -> Tensor:
    """Heatmaps (B, K, h, w), averaged with those of the mirrored crop; `pixels`: see `predict_each`."""
    views = [batch.image, batch.image.flip(-1)] if flip else [batch.image]
    heatmaps, *mirror = predict_each(predict, batch, views, pixels)
    return (heatmaps + mirrored(mirror[0], swap)) / 2 if mirror else heatmaps


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


HEAT = "heat"
"""The detector that is the pose network itself."""
_LEAST = 0.5  # the score from which on a person counts, unless another is given


class PosePredictor(Predictor):
    """Keypoints of persons."""

    options = ("boxes", "flip", "caption", "detector", "detector_score")
    result = PoseResult

    def predict(
        self,
        pixels: Picture,
        boxes: Sequence[Sequence[float]] | None = None,
        flip: bool | None = None,
        caption: str | None = None,
        detector: str | None = None,
        detector_score: float | None = None,
    ) -> PoseResult:
        """Predict one `Pose` per person.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            boxes: persons as (x, y, width, height) in pixels; None: found by the detector; without one the whole image
                is one person.
            flip: average with the mirror image; None: as the protocol does.
            caption: a sentence about the image, for strategies that read one; the same for each person.
            detector: a detector of persons, see `load_detector`; or ``heat``: this network's own heat, see `search`.
            detector_score: in [0, 1], from which on a person counts; of ``heat``, the mean confidence of its keypoints;
                None: 0.5.

        Raises:
            ConfigError: a box is not four numbers with a positive width and height, or lies outside the image.
            WeightsError: the detector cannot be loaded.
        """
        least = _LEAST if detector_score is None else detector_score
        protocol, spec, shape = self.protocol_with(flip), self._spec, self._crop.size[0] / self._crop.size[1]
        if boxes is not None or detector is None:
            found = boxes_in(pixels, boxes)
        elif detector == HEAT:
            plain = self.protocol_with(False)
            size = (pixels.shape[0], pixels.shape[1])
            found = find_persons(
                lambda some: self._poses(pixels, some, plain, caption), size, shape, spec, plain.visible, least
            )
        else:
            from diffperc.encoders.detector import load_detector

            found = load_detector(detector, str(self.device))(pixels, least)
        return PoseResult(pixels, self._poses(pixels, found, protocol, caption), spec, protocol.visible)

    def _check(self, options: Mapping[str, Any]) -> None:
        super()._check(options)
        boxes, detector, score = (options.get(name) for name in ("boxes", "detector", "detector_score"))
        if boxes is not None and detector is not None:
            raise ConfigError("detector: is not read where boxes are given; leave one of them out.")
        if score is None:
            return
        if detector is None:
            raise ConfigError("detector_score: is of a detector, and none is given; leave it out.")
        if not (isinstance(score, float | int) and 0 <= score <= 1):
            raise ConfigError(f"detector_score: must be a number from 0 to 1, found {score!r}.")

    def _poses(self, pixels: Picture, boxes: Sequence[Box], protocol: PoseProtocol, caption: str | None) -> list[Pose]:
        """Poses of persons, whose crops go through the network several at a time."""
        together = max(1, self.model.pixels_at_once // (self._crop.size[0] * self._crop.size[1]))
        poses: list[Pose] = []
        for i in range(0, len(boxes), together):
            some = boxes[i : i + together]
            batch = self.batch(pixels, caption, boxes=some)
            heatmaps = predict_heatmaps(self.dense, batch, self._spec.swap, protocol.flip, self.model.pixels_at_once)
            points, confidence = keypoints_in_image(heatmaps, batch, protocol.blur)
            rows = zip(points.cpu().numpy(), confidence.cpu().numpy(), some, strict=True)
            poses += [Pose(*row) for row in rows]
        return poses

    @property
    def _spec(self) -> KeypointSpec:
        assert self.info.keypoints is not None
        return self.info.keypoints

    @property
    def _crop(self) -> PersonCrop:
        assert self.preprocess.person_crop is not None
        return self.preprocess.person_crop

    def batch(
        self,
        pixels: Picture,
        caption: str | None = None,
        scene: str | None = None,
        boxes: Sequence[Sequence[float]] | None = None,
        **options: Any,
    ) -> Batch:
        """The crop of each person as the network sees it."""
        found = boxes_in(pixels, boxes)
        persons = [Person(box) for box in found]
        done = [self._crop(Sample("image", pixels, person=person), self._spec, None) for person in persons]
        size = (pixels.shape[0], pixels.shape[1])
        return Batch(
            torch.stack([image_tensor(one.image) for one in done]).to(self.device, self.dtype),
            caption=None if caption is None else (caption,) * len(found),
            meta=tuple(SampleMeta("", size, person, one.matrix) for person, one in zip(persons, done, strict=True)),
        )


def boxes_in(pixels: Picture, boxes: Sequence[Sequence[float]] | None) -> list[Box]:
    """Boxes (x, y, width, height) of persons in an image; None: the whole image is one.

    Raises:
        ConfigError: a box is not four numbers with a positive width and height, or lies outside the image.
    """
    height, width = pixels.shape[:2]
    if boxes is None:
        return [(0.0, 0.0, float(width), float(height))]
    return [_box(box, width, height) for box in boxes]


def _box(box: Sequence[float], width: int, height: int) -> Box:
    try:
        x, y, w, h = map(float, box)
        if not all(map(math.isfinite, (x, y, w, h))):
            raise ValueError("not finite")
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"boxes: expected four numbers x, y, width, height in pixels, found {box}.") from None
    # the part of the box that is inside the image
    columns, rows = min(x + w, width) - max(x, 0), min(y + h, height) - max(y, 0)
    if columns <= 0 or rows <= 0:
        raise ConfigError(f"boxes: {list(box)} is empty or outside the image of {width}x{height} pixels.")
    return (x, y, w, h)
