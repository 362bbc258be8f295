"""From heatmaps of a person's crop to keypoints in the image (methods.md 2.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffperc.data.base import Sample
from diffperc.inference.heatmaps import decode, mirrored, to_image
from diffperc.preprocessing.person_crop import PersonCrop
from diffperc.protocols import PoseProtocol
from diffperc.types import Batch, DatasetInfo, Person, SampleMeta


class Pose(NamedTuple):
    """points (K, 2) x, y in pixels of the image; confidence (K,), about 1 where certain; box x, y, width, height."""

    points: NDArray[np.float32]
    confidence: NDArray[np.float32]
    box: tuple[float, float, float, float]


def predict_heatmaps(predict: Callable[[Batch], Tensor], batch: Batch, swap: Sequence[int], flip: bool) -> Tensor:
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
        batch: whose `meta` says where each crop was taken.
        blur: see `decode`.
    """
    points, confidence = decode(heatmaps, blur)
    matrix = points.new_tensor([m.crop for m in batch.meta])
    crop, cells = batch.image.shape[-2:], heatmaps.shape[-2:]
    return to_image(points, (cells[0], cells[1]), (crop[0], crop[1]), matrix), confidence


def predict_pose(
    predict: Callable[[Batch], Tensor],
    pixels: NDArray[np.uint8],
    boxes: Sequence[tuple[float, float, float, float]],
    info: DatasetInfo,
    protocol: PoseProtocol,
    device: torch.device,
    caption: str | None = None,
) -> list[Pose]:
    """Keypoints of each box of an image (H, W, 3), of which a strategy may be told a `caption`."""
    assert info.input_size is not None
    assert info.keypoints is not None
    crop = PersonCrop(info.input_size)
    poses = []
    for box in boxes:
        person = Person(box)
        done = crop(Sample("image", pixels, person=person), info.keypoints, None)
        image = torch.from_numpy(done.image.copy()).to(device).permute(2, 0, 1)[None].float() / 255
        meta = SampleMeta("", (pixels.shape[0], pixels.shape[1]), person, done.matrix)
        batch = Batch(image, caption=None if caption is None else (caption,), meta=(meta,))
        heatmaps = predict_heatmaps(predict, batch, info.keypoints.swap, protocol.flip)
        points, confidence = keypoints_in_image(heatmaps, batch, protocol.blur)
        poses.append(Pose(points[0].cpu().numpy(), confidence[0].cpu().numpy(), box))
    return poses
