"""Poses of human figures: what their limbs, trunk and head do.

Directions of limbs are (out, forward, up): `out` points away from the middle of the body, which lets one table serve
both sides.
"""

from dataclasses import dataclass

import numpy as np

from diffperc.scenes.furniture import between, pick
from diffperc.scenes.shapes import Vec3

Limb = tuple[Vec3, Vec3]
"""Directions of its upper and its lower bone, which need not have unit length."""

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
    """What the legs do, and the range of the trunk's lean that goes with it, radians (positive is forward)."""

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
class BodyPose:
    """Angles in radians; limbs on the left side come first."""

    arms: tuple[Limb, Limb] = (_ARMS[0], _ARMS[0])
    legs: tuple[Limb, Limb] = (_STANDING, _STANDING)
    lean: float = 0.0
    """Lean of the trunk, positive forward."""
    sway: float = 0.0
    """Sideways lean of the trunk, positive to the right."""
    twist: float = 0.0
    """Turn of the trunk, positive to the left."""
    turn: float = 0.0
    """Turn of the head, positive to the left."""
    nod: float = 0.0
    """Nod of the head, positive down."""


def sample_pose(rng: np.random.Generator) -> BodyPose:
    stances, counts = zip(*_STANCES, strict=True)
    weights = np.array(counts, np.float64)
    stance: Stance = stances[int(rng.choice(len(stances), p=weights / weights.sum()))]
    left, right = (stance.left, stance.right) if rng.random() < 0.5 else (stance.right, stance.left)
    arm = pick(rng, _ARMS)
    other_arm = arm if rng.random() < 0.3 else pick(rng, _ARMS)
    return BodyPose(
        arms=(_varied(rng, arm, 0.14), _varied(rng, other_arm, 0.14)),
        legs=(_varied(rng, left, 0.05), _varied(rng, right, 0.05)),
        lean=between(rng, *stance.lean),
        sway=between(rng, -0.12, 0.12),
        twist=between(rng, -0.3, 0.3),
        turn=between(rng, -0.7, 0.7),
        nod=between(rng, -0.25, 0.35),
    )


def _varied(rng: np.random.Generator, limb: Limb, spread: float) -> Limb:
    (a, b, c), (d, e, f) = (np.array(limb) + spread * rng.standard_normal((2, 3))).tolist()
    return ((a, b, c), (d, e, f))
