"""Cuts a person out of an image for a pose network, and computes the heatmaps.

Pixels. A point (x, y) counts pixel centres: the centre of the upper left pixel is (0, 0), that of the lower right one is
(W - 1, H - 1), as in `cv2.warpAffine`. COCO's integer keypoints are taken as such points. A COCO box (x, y, w, h) is
an outline instead: it covers the pixels from x to x + w, so its centre is the point x + (w - 1) / 2 and from its first to
its last pixel centre there are w - 1 intervals. Points of data that count from the outer edge of the first pixel must be
reduced by 1/2 first.

Lengths are intervals between pixel centres throughout ("The Devil is in the Details", unbiased data processing): a box of
the crop's own size and padding 1 gives the identity, resizing and flipping commute, and the crop's point p is the
heatmap's point p * (w - 1) / (W - 1). Pixels outside the image are mid-grey (127), which the network sees as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray

from diffperc.errors import ConfigError
from diffperc.ranges import Count, Range, Share, WholeNumber
from diffperc.types import KeypointSpec, Person, Sample

Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]
Box = tuple[float, float, float, float]
_Array = NDArray[np.float64]

_GREY = 127
# joints lie inside a body's outline: with the usual padding of 1.25 their box grows to one and a half times its size
_HALF_BODY_GROWTH = 1.2
_HALF_BODY_LEAST = 3  # joints of a half that make a box


@dataclass(frozen=True)
class Crop:
    """One person, upright in the middle.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        heatmap: (K, H / stride, W / stride) float32, a Gaussian of height 1 per joint; zero where the weight is zero.
        weight: (K,) float32, 1 if the joint is labelled and its Gaussian reaches into the crop.
        visible: (K,) bool, whether the joint can be seen in the crop: inside it and not hidden.
        matrix: rows (a, b, c), (d, e, f) that map a point of the crop to a point of the image, as `SampleMeta.crop`.
    """

    image: NDArray[np.uint8]
    heatmap: NDArray[np.float32]
    weight: NDArray[np.float32]
    visible: NDArray[np.bool_]
    matrix: Matrix


class PersonCrop:
    """Cuts a person out by its box; in training by a box that is turned, scaled and mirrored at random.

    Args:
        size: (H, W) pixels of the crop.
        stride: pixels of the crop per heatmap cell.
        sigma: standard deviation of the Gaussians, in heatmap pixels.
        padding: size of the crop as a multiple of the box.
        flip: probability of mirroring, which swaps left and right joints.
        half_body: probability of taking the box of the upper or the lower body's joints.
        half_body_joints: a person with at most this many labelled joints is never halved.
        rotation: degrees, the standard deviation of the angle, which is clipped at twice that.
        rotation_probability: probability of rotation.
        scale: standard deviation of the factor on the box, which is clipped to [1 - scale, 1 + scale].

    Raises:
        ConfigError: the size is not a multiple of the stride.
    """

    def __init__(
        self,
        size: Sequence[Count] = (256, 192),
        stride: Count = 4,
        sigma: Annotated[float, Range(0, 100, above=True)] = 2.0,
        padding: Annotated[float, Range(0, 10, above=True)] = 1.25,
        flip: Share = 0.5,
        half_body: Share = 0.3,
        half_body_joints: WholeNumber = 8,
        rotation: Annotated[float, Range(0, 180)] = 40.0,
        rotation_probability: Share = 0.6,
        scale: Annotated[float, Range(0, 1, below=True)] = 0.5,
    ) -> None:
        height, width = size
        if height % stride or width % stride:
            raise ConfigError(
                f"PersonCrop: a crop of {height}x{width} pixels has no whole heatmap cells of {stride}; "
                f"set person_crop.size to multiples of person_crop.stride."
            )
        self.size = (int(height), int(width))
        self.stride = stride
        self.sigma = sigma
        self.padding = padding
        self.flip = flip
        self.half_body = half_body
        self.half_body_joints = half_body_joints
        self.rotation = rotation
        self.rotation_probability = rotation_probability
        self.scale = scale

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """(h, w) pixels."""
        return self.size[0] // self.stride, self.size[1] // self.stride

    def __call__(self, sample: Sample, spec: KeypointSpec, rng: np.random.Generator | None) -> Crop:
        """The crop of the sample's person.

        Args:
            sample: with a person, whose keypoints may be unknown.
            spec: which keypoints there are.
            rng: of the augmentation; None: evaluation, the box as it is.
        """
        person = sample.person
        assert person is not None, "PersonCrop needs a sample with a person"
        joints = _joints(person, spec)
        mirror = False
        if rng is None:
            matrix = self._matrix(person.box)
        else:
            box = self._half_body_box(joints, spec, rng) or person.box
            factor = float(np.clip(1 + self.scale * rng.standard_normal(), 1 - self.scale, 1 + self.scale))
            turned = rng.random() < self.rotation_probability
            angle = float(np.clip(rng.standard_normal(), -2, 2)) * self.rotation * turned
            mirror = bool(rng.random() < self.flip)
            matrix = self._matrix(box, factor, angle, mirror)
        if mirror:
            joints = joints[list(spec.swap)]
        points = (joints[:, :2] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        heatmap, weight = self._heatmap(points, joints[:, 2] > 0)
        inside = ((points >= -0.5) & (points < np.array(self.size[::-1]) - 0.5)).all(1)
        (a, b, c), (d, e, f) = matrix.tolist()
        return Crop(
            image=self._warp(sample.image, matrix),
            heatmap=heatmap,
            weight=weight,
            visible=(joints[:, 2] > 1) & inside,
            matrix=((a, b, c), (d, e, f)),
        )

    def _matrix(self, box: Box, factor: float = 1.0, angle: float = 0.0, mirror: bool = False) -> _Array:
        """(2, 3), from the crop to the image: about the box's centre, turned by degrees, one scale for both axes."""
        left, top, width, height = box
        centre = np.array([left + (width - 1) / 2, top + (height - 1) / 2])
        middle = (np.array(self.size[::-1]) - 1) / 2
        # image pixels per crop pixel; the box fills the crop along one axis, and a box of one pixel still has an extent
        across, down = max(width - 1, 1.0) / (2 * middle[0]), max(height - 1, 1.0) / (2 * middle[1])
        scale = max(across, down) * self.padding * factor
        cos, sin = scale * np.cos(np.deg2rad(angle)), scale * np.sin(np.deg2rad(angle))
        linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirror else 1.0, 1.0])
        return np.column_stack([linear, centre - linear @ middle])

    def _half_body_box(self, joints: _Array, spec: KeypointSpec, rng: np.random.Generator) -> Box | None:
        """The box of the upper or lower body's labelled joints, each as likely; None: the whole person."""
        labelled = joints[:, 2] > 0
        if labelled.sum() <= self.half_body_joints or rng.random() >= self.half_body:
            return None
        upper = np.isin(np.arange(len(joints)), spec.upper)
        halves = np.stack([labelled & upper, labelled & ~upper])
        halves = halves[halves.sum(1) >= _HALF_BODY_LEAST]
        if len(halves) == 0:
            return None
        points = joints[halves[rng.integers(len(halves))], :2]
        low, high = points.min(0), points.max(0)
        left, top = (low + high - (high - low) * _HALF_BODY_GROWTH) / 2
        width, height = (high - low) * _HALF_BODY_GROWTH + 1
        return float(left), float(top), float(width), float(height)

    def _heatmap(self, points: _Array, labelled: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Heatmaps and weights of K points (K, 2) of the crop."""
        h, w = self.heatmap_size
        last = np.array([w - 1, h - 1])
        centres = points * last / (np.array(self.size[::-1]) - 1)
        reach = 3 * self.sigma
        used = labelled & ((centres >= -reach) & (centres <= last + reach)).all(1)
        across = np.exp(-((np.arange(w) - centres[:, :1]) ** 2) / (2 * self.sigma**2))
        down = np.exp(-((np.arange(h) - centres[:, 1:]) ** 2) / (2 * self.sigma**2))
        heatmap = down[:, :, None] * across[:, None, :] * used[:, None, None]
        return heatmap.astype(np.float32), used.astype(np.float32)

    def _warp(self, image: NDArray[np.uint8], matrix: _Array) -> NDArray[np.uint8]:
        height, width = self.size
        warped = cv2.warpAffine(
            image,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,  # the matrix already goes from the crop to the image
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(_GREY, _GREY, _GREY),
        )
        return np.asarray(warped, dtype=np.uint8)


def _joints(person: Person, spec: KeypointSpec) -> _Array:
    """(K, 3): x, y, visibility; all unlabelled for a person whose keypoints are unknown."""
    if not person.keypoints:
        return np.zeros((len(spec.names), 3))
    if len(person.keypoints) != len(spec.names):
        raise ValueError(f"Person has {len(person.keypoints)} keypoints, its data set names {len(spec.names)}")
    return np.array(person.keypoints, dtype=np.float64)
