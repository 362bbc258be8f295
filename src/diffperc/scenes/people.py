"""Posed human figures with the 17 body keypoints of COCO.

A figure faces +y like furniture, so its own left is at -x.
"""

import math
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from diffperc.scenes.furniture import Primitives, pick
from diffperc.scenes.palette import PALETTE, linear, mix
from diffperc.scenes.poses import BodyPose
from diffperc.scenes.shapes import Material, Primitive, Shape, Vec3

Vector = npt.NDArray[np.float64]

HEIGHTS: dict[str, tuple[float, float]] = {"small": (1.45, 1.6), "medium": (1.6, 1.75), "large": (1.75, 1.9)}
"""Range of the body height in metres that a size word stands for."""
BONES: dict[str, float] = {
    "trunk": 0.288, "neck": 0.105, "shoulder": 0.108, "hip": 0.056,
    "upper_arm": 0.172, "forearm": 0.146, "thigh": 0.245, "shin": 0.246,
}  # fmt: skip
"""Lengths as shares of the body height; those of the shoulder and the hip are half the distance between both."""

_SKINS = ((0.86, 0.66, 0.55), (0.95, 0.76, 0.66), (0.72, 0.5, 0.36), (0.5, 0.33, 0.22), (0.34, 0.22, 0.15))
_HAIRS = ((0.1, 0.08, 0.07), (0.25, 0.15, 0.09), (0.42, 0.24, 0.12), (0.75, 0.58, 0.3), (0.6, 0.6, 0.6))
_TROUSERS = ("blue", "blue", "black", "black", "gray", "brown", "white", "green", "red", "purple")
_SHORT_HAIR = ((0.048, 0.054, 0.06), (0.0, -0.014, 0.016))
_LONG_HAIR = ((0.052, 0.054, 0.085), (0.0, -0.015, 0.005))
"""Half sizes of the hair's ellipsoid, and its centre seen from the middle of the head, as shares of the body height."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """Materials of a figure; `sleeves` and `legs` cover the forearms and shins with skin or with the cloth above."""

    shirt: Material
    trousers: Material
    skin: Material
    hair: Material
    shoes: Material
    sleeves: Material
    legs: Material
    long_hair: bool = False


def sample_appearance(rng: np.random.Generator, shirt: Material, colour: str) -> Appearance:
    """Materials that go with a shirt. Its colour is `colour`; the trousers have another one."""
    other_colours = [name for name in _TROUSERS if name != colour]
    trousers = Material(PALETTE[pick(rng, other_colours)])
    tone = mix(pick(rng, _SKINS), pick(rng, _SKINS), 0.5 * float(rng.random()))
    # Hair close to the skin would leave no difference between front and back.
    distinct = [shade for shade in _HAIRS if abs(shade[1] - tone[1]) > 0.135]
    hair, skin = Material(linear(*pick(rng, distinct))), Material(linear(*tone))
    shoes = Material(PALETTE[pick(rng, ("black", "brown", "white", "red"))])
    sleeves = shirt if rng.random() < 0.5 else skin
    legs = trousers if rng.random() < 0.8 else skin
    return Appearance(shirt, trousers, skin, hair, shoes, sleeves, legs, bool(rng.random() < 0.35))


def figure(pose: BodyPose, height: float, appearance: Appearance) -> tuple[Primitives, tuple[Vec3, ...]]:
    """Primitives and keypoints of a person with that height in metres, facing +y, its lowest point on z = 0.

    The middle of the rectangle that it covers on the floor is at the origin.
    """
    bone = {name: share * height for name, share in BONES.items()}
    trunk = _turned(pose.twist, -pose.lean, pose.sway)
    head = trunk @ _turned(pose.turn, -pose.nod, 0.0)
    neck = trunk[:, 2] * bone["trunk"]
    middle = neck + trunk[:, 2] * 0.4 * bone["neck"] + head[:, 2] * 0.8 * bone["neck"]
    parts = [*_trunk(trunk, neck, middle, height, appearance), *_head(head, middle, height, appearance)]
    sides = []
    for side, arm, leg in zip((-1.0, 1.0), pose.arms, pose.legs, strict=True):
        mirror = np.array([side, 1.0, 1.0])
        shoulder = neck + side * bone["shoulder"] * trunk[:, 0]
        elbow = shoulder + bone["upper_arm"] * (trunk @ _unit(mirror * arm[0]))
        wrist = elbow + bone["forearm"] * (trunk @ _unit(mirror * arm[1]))
        hip = np.array([side * bone["hip"], 0.0, 0.0])
        knee = hip + bone["thigh"] * _unit(mirror * leg[0])
        ankle = knee + bone["shin"] * _unit(mirror * leg[1])
        parts += _arm(shoulder, elbow, wrist, height, appearance) + _leg(hip, knee, ankle, height, appearance)
        sides.append((shoulder, elbow, wrist, hip, knee, ankle))
    # Just under the skin, so that the pixel at a keypoint on the outline belongs to the person.
    face = ((0.0, 0.06, -0.006), (-0.019, 0.047, 0.008), (0.019, 0.047, 0.008), (-0.036, -0.004, 0), (0.036, -0.004, 0))
    joints = [middle + height * (head @ np.array(point)) for point in face]
    joints += chain.from_iterable(zip(*sides, strict=True))
    return _grounded(parts, joints)


def _trunk(axes: Vector, neck: Vector, head: Vector, height: float, appearance: Appearance) -> list[Primitive]:
    low, high = -0.02 * height * axes[:, 2], neck + 0.015 * height * axes[:, 2]
    chest = _part("frustum", (low + high) / 2, axes, (0.082, 0.058, 0.1615), height, appearance.shirt, 1.22)
    pelvis = _part("ellipsoid", -0.02 * height * axes[:, 2], axes, (0.092, 0.066, 0.07), height, appearance.trousers)
    return [chest, pelvis, _bone(neck, head, 0.031 * height, appearance.skin)]


def _head(axes: Vector, middle: Vector, height: float, appearance: Appearance) -> list[Primitive]:
    face = _part("ellipsoid", middle, axes, (0.044, 0.055, 0.066), height, appearance.skin)
    half, offset = _LONG_HAIR if appearance.long_hair else _SHORT_HAIR
    hair = _part("ellipsoid", middle + axes @ (np.array(offset) * height), axes, half, height, appearance.hair)
    tip = middle + axes @ np.array([0.0, 0.055, -0.008]) * height
    return [face, hair, _part("ellipsoid", tip, axes, (0.009, 0.014, 0.014), height, appearance.skin)]


def _arm(shoulder: Vector, elbow: Vector, wrist: Vector, height: float, appearance: Appearance) -> list[Primitive]:
    along = _unit(wrist - elbow)
    return [
        _bone(shoulder, elbow, 0.032 * height, appearance.shirt, 0.3),
        _bone(elbow, wrist, 0.026 * height, appearance.sleeves, 0.04, 0.72),
        _bone(wrist, wrist + 0.055 * height * along, 0.021 * height, appearance.skin, 0.3),
    ]


def _leg(hip: Vector, knee: Vector, ankle: Vector, height: float, appearance: Appearance) -> list[Primitive]:
    front = _unit(_foot_direction(_unit(ankle - knee)))
    right = _unit(np.array([front[1] + 1e-6, -front[0], 0.0]))
    up = np.array([right[1] * front[2], -right[0] * front[2], right[0] * front[1] - right[1] * front[0]])
    axes = np.stack([right, front, up], axis=1)
    heel = ankle + height * (axes @ np.array([0.0, 0.042, -0.018]))
    return [
        _bone(hip, knee, 0.05 * height, appearance.trousers, 0.2),
        _bone(knee, ankle, 0.038 * height, appearance.legs, 0.05, 0.62),
        _part("ellipsoid", heel, axes, (0.03, 0.08, 0.026), height, appearance.shoes),
    ]


def _foot_direction(shin: Vector) -> Vector:
    """Where a foot points, given the direction (3,) of its shin."""
    x, y, z = shin
    if z < -0.9:
        return np.array([0.0, 1.0, 0.0])  # flat on the floor
    if y > -0.7:
        return np.array([0.0, -z, y])
    return np.array([x, y, z])  # a kneeling foot lies stretched


def _bone(
    start: Vector, end: Vector, radius: float, material: Material, extra: float = 0.0, taper: float = 0.0
) -> Primitive:
    """An ellipsoid, or with a taper a frustum, from one joint to another.

    Both its ends together extend beyond the joints by the share `extra` of the distance between those.
    """
    span = end - start
    length = math.sqrt(span @ span)
    x, y, z = (span / length).tolist()
    half = (radius, radius, length * (0.5 + extra / 2))
    shape: Shape = "frustum" if taper else "ellipsoid"
    yaw, tilt = math.atan2(x, -y), math.acos(max(-1.0, min(1.0, z)))
    return Primitive(shape, _vec((start + end) / 2), half, material, yaw, tilt, taper or 1.0)


def _part(
    shape: Shape, centre: Vector, axes: Vector, half: Vec3, scale: float, material: Material, taper: float = 1.0
) -> Primitive:
    """A primitive whose local axes are the columns of `axes`; `half` is in units of `scale`."""
    tilt = math.acos(max(-1.0, min(1.0, float(axes[2, 2]))))
    yaw, roll = math.atan2(axes[0, 2], -axes[1, 2]), math.atan2(axes[2, 0], axes[2, 1])
    if tilt < 1e-6:  # upright: both turn about the same axis
        yaw, roll = math.atan2(axes[1, 0], axes[0, 0]), 0.0
    sizes = (scale * half[0], scale * half[1], scale * half[2])
    return Primitive(shape, _vec(centre), sizes, material, yaw, tilt, taper, roll)


def _grounded(parts: list[Primitive], joints: list[Vector]) -> tuple[Primitives, tuple[Vec3, ...]]:
    centres, reaches = np.array([part.centre for part in parts]), np.array([part.reach() for part in parts])
    low, high = (centres - reaches).min(axis=0), (centres + reaches).max(axis=0)
    x, y, z = (-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2])
    shift = (float(x), float(y), float(z))
    return tuple(part.placed(shift, 0.0, 1.0) for part in parts), tuple(_vec(joint + shift) for joint in joints)


def _turned(yaw: float, tilt: float, sway: float) -> Vector:
    """Rotation (3, 3): sway to the right about y, then tilt about x, then turn about z. Its columns are the axes."""
    (cz, cx, cy), (sz, sx, sy) = np.cos((yaw, tilt, sway)), np.sin((yaw, tilt, sway))
    about_z = np.array([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    product: Vector = about_z @ about_x @ about_y
    return product


def _unit(vector: Vector) -> Vector:
    unit: Vector = vector / math.sqrt(vector @ vector)
    return unit


def _vec(point: Vector) -> Vec3:
    x, y, z = point.tolist()
    return (x, y, z)
