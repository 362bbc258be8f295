"""Posed human figures with the 17 body keypoints of COCO.

A figure faces +y like furniture, so its own left is at -x. Directions of limbs are (out, forward, up): `out` points
away from the middle of the body, which lets one table serve both sides.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .furniture import Parts, between, pick
from .palette import PALETTE, mix
from .shapes import Material, Primitive, Shape, Vec3

Vector = npt.NDArray[np.float64]
Limb = tuple[Vec3, Vec3]
"""Directions of its upper and its lower bone, which need not have unit length."""

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

_ARMS: tuple[Limb, ...] = (
    ((0.18, 0.0, -1.0), (0.08, 0.2, -1.0)),  # hanging
    ((0.18, 0.0, -1.0), (0.08, 0.2, -1.0)),
    ((0.2, 0.45, -1.0), (0.1, 0.8, -1.0)),  # swung forward ...
    ((0.2, -0.4, -1.0), (0.1, -0.1, -1.0)),  # ... and back
    ((0.45, 0.1, 0.9), (0.1, 0.1, 1.0)),  # raised
    ((1.0, 0.0, 0.1), (1.0, 0.15, 0.1)),  # at the side
    ((0.75, -0.4, -0.75), (-0.8, 0.55, -0.3)),  # akimbo
    ((0.1, 1.0, 0.05), (0.0, 1.0, 0.1)),  # pointing ahead
    ((0.7, 0.7, 0.1), (0.6, 0.8, 0.2)),  # pointing aside
    ((0.2, 0.15, -1.0), (-0.1, 1.0, 0.1)),  # carrying
    ((0.9, 0.1, -0.1), (0.25, 0.2, 1.0)),  # waving
    ((0.35, 0.5, -0.7), (-0.15, 0.25, 1.0)),  # hand at the head
)


@dataclass(frozen=True, slots=True)
class Stance:
    """What the legs do, with the range of the trunk's lean that goes with it, radians (positive is forward)."""

    left: Limb
    right: Limb
    lean: tuple[float, float]


_STANDING = ((0.07, 0.03, -1.0), (0.03, -0.06, -1.0))
_KNEES_UP = ((0.25, 0.8, 0.75), (0.0, 0.65, -1.0))
_STANCES: tuple[tuple[Stance, int], ...] = (
    (Stance(_STANDING, _STANDING, (-0.06, 0.12)), 6),
    (Stance(_STANDING, _STANDING, (0.2, 0.75)), 2),  # bending forward
    (Stance(((0.3, 0.05, -1.0), (0.25, -0.05, -1.0)), ((0.3, 0.05, -1.0), (0.25, -0.05, -1.0)), (-0.05, 0.3)), 3),
    (Stance(((0.05, 0.45, -1.0), (0.02, 0.1, -1.0)), ((0.05, -0.2, -1.0), (0.02, -0.6, -1.0)), (0.0, 0.2)), 5),
    (Stance(((0.3, 0.8, -0.45), (0.0, -0.35, -1.0)), ((0.3, 0.8, -0.45), (0.0, -0.35, -1.0)), (0.3, 0.6)), 1),
    (Stance(((0.35, 1.0, 0.1), (0.0, -0.35, -1.0)), ((0.35, 1.0, 0.1), (0.0, -0.35, -1.0)), (0.35, 0.7)), 2),
    (Stance(((0.15, 1.0, -0.1), (0.02, 0.0, -1.0)), ((0.05, -0.1, -1.0), (0.0, -1.0, -0.05)), (0.0, 0.2)), 1),  # kneeling
    (Stance(((0.15, 1.0, 0.06), (0.1, 1.0, -0.06)), ((0.15, 1.0, 0.06), (0.1, 1.0, -0.06)), (-0.3, 0.15)), 1),
    (Stance(_KNEES_UP, _KNEES_UP, (-0.2, 0.35)), 1),
    (Stance(((0.15, 1.0, 0.06), (0.1, 1.0, -0.06)), _KNEES_UP, (-0.3, 0.2)), 1),
    (Stance(((0.9, 0.75, 0.12), (-0.9, 0.2, -0.2)), ((0.9, 0.75, 0.12), (-0.9, 0.35, -0.2)), (-0.1, 0.3)), 1),
)  # fmt: skip
"""Stances with weights: standing, bending, legs apart, walking, squatting, crouching, kneeling, and four ways of sitting
on the floor."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Angles in radians; limbs on the left side come first."""

    arms: tuple[Limb, Limb] = (_ARMS[0], _ARMS[0])
    legs: tuple[Limb, Limb] = (_STANDING, _STANDING)
    lean: float = 0.0
    """Of the trunk, positive forward."""
    sway: float = 0.0
    """Of the trunk, positive to the right."""
    twist: float = 0.0
    """Of the trunk, positive to the left."""
    turn: float = 0.0
    """Of the head, positive to the left."""
    nod: float = 0.0
    """Of the head, positive down."""


@dataclass(frozen=True, slots=True)
class Look:
    """Materials of a figure: `sleeves` and `legs` cover forearms and shins, bare skin or the cloth above."""

    shirt: Material
    trousers: Material
    skin: Material
    hair: Material
    shoes: Material
    sleeves: Material
    legs: Material
    long_hair: bool = False


def sample_pose(rng: np.random.Generator) -> Pose:
    weights = np.array([weight for _, weight in _STANCES], np.float64)
    stance = _STANCES[int(rng.choice(len(_STANCES), p=weights / weights.sum()))][0]
    legs = (stance.left, stance.right) if rng.random() < 0.5 else (stance.right, stance.left)
    arm = pick(rng, _ARMS)
    arms = (arm, arm if rng.random() < 0.3 else pick(rng, _ARMS))
    return Pose(
        (_varied(rng, arms[0], 0.14), _varied(rng, arms[1], 0.14)),
        (_varied(rng, legs[0], 0.05), _varied(rng, legs[1], 0.05)),
        between(rng, *stance.lean),
        between(rng, -0.12, 0.12),
        between(rng, -0.3, 0.3),
        between(rng, -0.7, 0.7),
        between(rng, -0.25, 0.35),
    )


def _varied(rng: np.random.Generator, limb: Limb, spread: float) -> Limb:
    (a, b, c), (d, e, f) = (np.array(limb) + spread * rng.standard_normal((2, 3))).tolist()
    return ((a, b, c), (d, e, f))


def sample_look(rng: np.random.Generator, shirt: Material, colour: str) -> Look:
    """Materials that go with a shirt; `colour` is the shirt's, which the trousers will not have."""
    trousers = Material(PALETTE[pick(rng, tuple(name for name in _TROUSERS if name != colour))])
    tone = mix(pick(rng, _SKINS), pick(rng, _SKINS), 0.5 * float(rng.random()))
    # Hair close to the skin would leave no difference between front and back.
    red, green, blue = pick(rng, tuple(shade for shade in _HAIRS if abs(shade[1] - tone[1]) > 0.135))
    skin, hair = Material((tone[0] ** 2, tone[1] ** 2, tone[2] ** 2)), Material((red**2, green**2, blue**2))
    shoes = Material(PALETTE[pick(rng, ("black", "brown", "white", "red"))])
    sleeves = shirt if rng.random() < 0.5 else skin
    legs = trousers if rng.random() < 0.8 else skin
    return Look(shirt, trousers, skin, hair, shoes, sleeves, legs, bool(rng.random() < 0.35))


def figure(pose: Pose, height: float, look: Look) -> tuple[Parts, tuple[Vec3, ...]]:
    """Primitives and keypoints of a person of that height in metres, facing +y, its lowest point on z = 0.

    The middle of its rectangle on the floor is at the origin.
    """
    bone = {name: share * height for name, share in BONES.items()}
    trunk = _turned(pose.twist, -pose.lean, pose.sway)
    head = trunk @ _turned(pose.turn, -pose.nod, 0.0)
    neck = trunk[:, 2] * bone["trunk"]
    middle = neck + trunk[:, 2] * 0.4 * bone["neck"] + head[:, 2] * 0.8 * bone["neck"]
    parts = [*_trunk(trunk, neck, middle, height, look), *_head(head, middle, height, look)]
    sides = []
    for side, arm, leg in zip((-1.0, 1.0), pose.arms, pose.legs, strict=True):
        mirror = np.array([side, 1.0, 1.0])
        shoulder = neck + side * bone["shoulder"] * trunk[:, 0]
        elbow = shoulder + bone["upper_arm"] * (trunk @ _unit(mirror * arm[0]))
        wrist = elbow + bone["forearm"] * (trunk @ _unit(mirror * arm[1]))
        hip = np.array([side * bone["hip"], 0.0, 0.0])
        knee = hip + bone["thigh"] * _unit(mirror * leg[0])
        ankle = knee + bone["shin"] * _unit(mirror * leg[1])
        parts += _arm(shoulder, elbow, wrist, height, look) + _leg(hip, knee, ankle, height, look)
        sides.append((shoulder, elbow, wrist, hip, knee, ankle))
    # Just under the skin, so that the pixel at a keypoint on the outline belongs to the person.
    face = ((0.0, 0.06, -0.006), (-0.019, 0.047, 0.008), (0.019, 0.047, 0.008), (-0.036, -0.004, 0), (0.036, -0.004, 0))
    joints = [middle + height * (head @ np.array(point)) for point in face]
    joints += [point for pair in zip(*sides, strict=True) for point in pair]
    return _grounded(parts, joints)


def _trunk(axes: Vector, neck: Vector, head: Vector, height: float, look: Look) -> list[Primitive]:
    low, high = -0.02 * height * axes[:, 2], neck + 0.015 * height * axes[:, 2]
    chest = _part("frustum", (low + high) / 2, axes, (0.082, 0.058, 0.1615), height, look.shirt, 1.22)
    pelvis = _part("ellipsoid", -0.02 * height * axes[:, 2], axes, (0.092, 0.066, 0.07), height, look.trousers)
    return [chest, pelvis, _bone(neck, head, 0.031 * height, look.skin)]


def _head(axes: Vector, middle: Vector, height: float, look: Look) -> list[Primitive]:
    face = _part("ellipsoid", middle, axes, (0.044, 0.055, 0.066), height, look.skin)
    back = np.array([0.0, -0.015, 0.005] if look.long_hair else [0.0, -0.014, 0.016]) * height
    shape = (0.052, 0.054, 0.085) if look.long_hair else (0.048, 0.054, 0.06)
    hair = _part("ellipsoid", middle + axes @ back, axes, shape, height, look.hair)
    tip = middle + axes @ np.array([0.0, 0.055, -0.008]) * height
    return [face, hair, _part("ellipsoid", tip, axes, (0.009, 0.014, 0.014), height, look.skin)]


def _arm(shoulder: Vector, elbow: Vector, wrist: Vector, height: float, look: Look) -> list[Primitive]:
    along = _unit(wrist - elbow)
    return [
        _bone(shoulder, elbow, 0.032 * height, look.shirt, 0.3),
        _bone(elbow, wrist, 0.026 * height, look.sleeves, 0.04, 0.72),
        _bone(wrist, wrist + 0.055 * height * along, 0.021 * height, look.skin, 0.3),
    ]


def _leg(hip: Vector, knee: Vector, ankle: Vector, height: float, look: Look) -> list[Primitive]:
    x, y, z = _unit(ankle - knee)
    front = np.array([0.0, -z, y]) if y > -0.7 else np.array([x, y, z])  # a kneeling foot lies stretched
    if z < -0.9:
        front = np.array([0.0, 1.0, 0.0])  # flat on the floor
    front = _unit(front)
    right = _unit(np.array([front[1] + 1e-6, -front[0], 0.0]))
    up = np.array([right[1] * front[2], -right[0] * front[2], right[0] * front[1] - right[1] * front[0]])
    axes = np.stack([right, front, up], axis=1)
    heel = ankle + height * (axes @ np.array([0.0, 0.042, -0.018]))
    return [
        _bone(hip, knee, 0.05 * height, look.trousers, 0.2),
        _bone(knee, ankle, 0.038 * height, look.legs, 0.05, 0.62),
        _part("ellipsoid", heel, axes, (0.03, 0.08, 0.026), height, look.shoes),
    ]


def _bone(
    start: Vector, end: Vector, radius: float, material: Material, extra: float = 0.0, taper: float = 0.0
) -> Primitive:
    """An ellipsoid, or with a taper a frustum, from one joint to another and at both ends the share `extra` beyond."""
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


def _grounded(parts: list[Primitive], joints: list[Vector]) -> tuple[Parts, tuple[Vec3, ...]]:
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
