"""Convex primitives, the rays that meet them and the surface found there.

Every primitive is an axis-aligned unit shape in its own local frame. To intersect it, the rays are transformed into
that frame. World axes: x and y span the floor, z points up; lengths are in metres.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Vec3 = tuple[float, float, float]
_MISS = np.float32(np.inf)
Shape = Literal["box", "ellipsoid", "frustum"]
SHAPES: tuple[Shape, ...] = ("box", "ellipsoid", "frustum")


@dataclass(frozen=True, slots=True)
class Material:
    """How a surface looks: a texture blends `colour` and `accent` (linear RGB in [0, 1])."""

    colour: Vec3
    accent: Vec3 = (0.0, 0.0, 0.0)
    texture: str = "plain"
    scale: float = 0.2
    """Size of one texture cell, metres."""
    turned: bool = False
    """Whether the texture is turned by 90 degrees (stripes become bands)."""
    gloss: float = 0.0
    """Weight of the specular highlight, 0 (matte) to about 0.6."""
    emission: float = 0.0
    """Light emitted, as a multiple of the surface colour."""


_REACHES: dict[Shape, Callable[[float, float, float], float]] = {
    "box": lambda x, y, z: x + y + z,
    "ellipsoid": math.hypot,
    "frustum": lambda x, y, z: math.hypot(x, y) + z,
}
"""How far a shape reaches in a direction, from what its three local axes reach in it."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """A convex solid: unit shape, scaled by `half`, turned, moved to `centre`.

    It is turned by `roll` about its z axis, then by `tilt` about the x axis, then by `yaw` about the vertical.

    In the local unit frame a box is [-1, 1]^3, an ellipsoid the unit sphere, and a frustum spans z in [-1, 1] with
    radius 1 at the bottom and `taper` at the top (1: cylinder, 0: cone).
    """

    shape: Shape
    centre: Vec3
    half: Vec3
    material: Material
    yaw: float = 0.0
    tilt: float = 0.0
    taper: float = 1.0
    roll: float = 0.0

    def axes(self) -> tuple[Vec3, Vec3, Vec3]:
        """Local axes in the world: the rows of the rotation from world to local directions."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        ct, st = math.cos(self.tilt), math.sin(self.tilt)
        x, y = (c, s, 0.0), (-s * ct, c * ct, st)
        if self.roll:
            cr, sr = math.cos(self.roll), math.sin(self.roll)
            x, y = (
                (cr * x[0] + sr * y[0], cr * x[1] + sr * y[1], sr * y[2]),
                (cr * y[0] - sr * x[0], cr * y[1] - sr * x[1], cr * y[2]),
            )
        return (x, y, (s * st, -c * st, ct))

    def bound(self) -> Vec3:
        """Half sizes in metres of the primitive's bounding box along its local axes."""
        widest = max(1.0, self.taper)
        return (widest * self.half[0], widest * self.half[1], self.half[2])

    def radius(self) -> float:
        """Radius in metres of a sphere around `centre` that contains the primitive."""
        a, b, c = self.bound()
        if self.shape == "ellipsoid":
            return max(a, b, c)
        return math.hypot(max(a, b) if self.shape == "frustum" else math.hypot(a, b), c)

    def reach(self) -> Vec3:
        """Half sizes in metres of the primitive's world-aligned bounding box."""
        if not (self.yaw or self.tilt or self.roll):
            return self.bound()
        (a, b, c), (first, second, third) = self.bound(), self.axes()
        reach = _REACHES[self.shape]
        return (
            reach(abs(first[0]) * a, abs(second[0]) * b, abs(third[0]) * c),
            reach(abs(first[1]) * a, abs(second[1]) * b, abs(third[1]) * c),
            reach(abs(first[2]) * a, abs(second[2]) * b, abs(third[2]) * c),
        )

    def placed(self, position: Vec3, yaw: float, scale: float) -> "Primitive":
        """The primitive after scaling about the origin, turning by `yaw` about the vertical and moving."""
        c, s = math.cos(yaw), math.sin(yaw)
        x, y, z = (scale * value for value in self.centre)
        centre = (c * x - s * y + position[0], s * x + c * y + position[1], z + position[2])
        half = (scale * self.half[0], scale * self.half[1], scale * self.half[2])
        return Primitive(self.shape, centre, half, self.material, self.yaw + yaw, self.tilt, self.taper, self.roll)


def intersect(shape: Shape, taper: Floats, origin: Floats, dirs: Floats) -> Floats:
    """Ray parameters (n,) at which rays from points outside the shape first hit it, inf where a ray misses.

    `origin` (3, n) or (3, 1) and `dirs` (3, n) are in the local unit frame; the parameter is in units of `dirs`.
    `taper`, (n,) or (1,), matters for frustums only.
    """
    if shape == "box":
        return _box(origin, dirs)
    if shape == "ellipsoid":
        return _ellipsoid(origin, dirs)
    return _frustum(origin, dirs, taper)


def _box(origin: Floats, dirs: Floats) -> Floats:
    inverse = dirs + np.float32(1e-20)  # a ray along a plane must not make 0 * inf
    np.divide(1, inverse, out=inverse)
    middle = inverse * origin
    np.abs(inverse, out=inverse)
    x, y, z = middle + inverse  # minus the parameter at which each pair of planes is entered ...
    enter = np.minimum(np.minimum(x, y, out=x), z, out=x)
    x, y, z = np.subtract(middle, inverse, out=middle)  # ... and left
    leave = np.maximum(np.maximum(x, y, out=x), z, out=x)
    return np.where((leave < enter) & (enter < 0), -enter, _MISS)


def _ellipsoid(origin: Floats, dirs: Floats) -> Floats:
    x, y, z = dirs
    ox, oy, oz = origin
    a = x * x + y * y + z * z
    b = ox * x + oy * y + oz * z
    disc = b * b - a * (ox * ox + oy * oy + oz * oz - np.float32(1))
    t = (-b - np.sqrt(disc)) / a  # nan where the ray misses: every comparison with it is false
    return np.where(t > 0, t, _MISS)


def _frustum(origin: Floats, dirs: Floats, taper: Floats) -> Floats:
    x, y, z = dirs
    ox, oy, oz = origin
    middle, slope = (1 + taper) * np.float32(0.5), (taper - 1) * np.float32(0.5)
    radius = middle + slope * oz
    inclined = slope * z
    a = x * x + y * y - inclined * inclined
    b = ox * x + oy * y - radius * inclined
    root = np.sqrt(b * b - a * (ox * ox + oy * oy - radius * radius))  # nan where the ray misses, as above
    best = (-b - root) / a
    best = np.where((np.abs(oz + best * z) <= 1) & (best > 0), best, _MISS)
    if slope.any():  # a cone's double sheet may be entered at either root; the sheet beyond the tip fails |height| <= 1
        t = (root - b) / a
        best = np.where((np.abs(oz + t * z) <= 1) & (t > 0) & (t < best), t, best)
    side = np.sign(oz)  # only the cap on the origin's side can be seen
    t = (side - oz) / z
    px, py, rim = ox + t * x, oy + t * y, middle + slope * side
    return np.where((px * px + py * py <= rim * rim) & (np.abs(oz) > 1) & (t > 0) & (t < best), t, best)


def gradients(shape: Shape, taper: Floats, points: Floats) -> Floats:
    """Normals of any length, in the local unit frame, at local points (3, n) on primitives with a taper (n,).

    The transpose of the map from the world to that frame transforms them into the world.
    """
    if shape == "ellipsoid":
        return points
    gradient = np.zeros_like(points)
    if shape == "box":
        side = _side(points)
        where = np.arange(side.size)
        gradient[side, where] = np.sign(points[side, where])
        return gradient
    x, y, z = points
    rho = np.sqrt(x * x + y * y)
    cap = _cap(taper, z, rho)
    np.copyto(gradient[:2], points[:2], where=~cap)
    gradient[2] = np.where(cap, np.sign(z), (1 - taper) * np.float32(0.5) * rho)
    return gradient


def coordinates(primitive: Primitive, points: Floats) -> tuple[Floats, Floats]:
    """Texture coordinates u, v (n,) in metres along the surface at local points (3, n)."""
    half = np.array(primitive.half, np.float32)
    x, y, z = metres = points * half[:, None]
    if primitive.shape == "box":
        side = _side(points)
        return np.where(side == 0, y, x), np.where(side == 2, y, z)
    # A whole number of (two-cell) periods around the axis, so that the texture meets itself.
    scale = primitive.material.scale
    turns = max(1.0, round(math.pi * float(half[0]) / scale)) * scale / math.pi
    around = np.arctan2(points[1], points[0]) * np.float32(turns)
    if primitive.shape == "ellipsoid":
        return around, z
    cap = _cap(np.float32(primitive.taper), points[2], np.sqrt(points[0] ** 2 + points[1] ** 2))
    return np.where(cap, metres[0], around), np.where(cap, metres[1], z)


def _side(points: Floats) -> npt.NDArray[np.int8]:
    """Axis (n,) across the face of the unit box that each point lies on."""
    x, y, z = np.abs(points)
    side = (y > x).view(np.int8)
    side[z > np.maximum(x, y)] = 2
    return side


def _cap(taper: Floats | np.float32, height: Floats, rho: Floats) -> npt.NDArray[np.bool_]:
    """Whether points of a unit frustum, `rho` from its axis, lie on its top or bottom rather than its side."""
    half = np.float32(0.5)
    return 1 - np.abs(height) < np.abs((1 + taper) * half + (taper - 1) * half * height - rho)
