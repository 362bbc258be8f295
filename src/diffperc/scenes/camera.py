"""Pinhole camera of a scene.

Image coordinates (u, v) are continuous, in pixels: the pixel in row i and column j covers [j, j + 1) x [i, i + 1) and
its centre is (j + 0.5, i + 0.5). Camera axes: x right, y down, z forward.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diffperc.scenes.shapes import Floats, Vec3


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera without roll. Angles in radians."""

    position: Vec3
    yaw: float
    """Heading: 0 looks along +y, positive angles turn left (towards -x)."""
    pitch: float
    """Positive looks up."""
    fov: float
    """Vertical field of view."""

    def rotation(self) -> npt.NDArray[np.float64]:
        """World-to-camera rotation (3, 3): its rows are the right, down and forward directions."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        cp, sp = np.cos(self.pitch), np.sin(self.pitch)
        return np.array([[c, s, 0.0], [-s * sp, c * sp, -cp], [-s * cp, c * cp, sp]])

    def focal(self, height: int) -> float:
        """Focal length in pixels for an image with that height in pixels (pixels are square)."""
        return float(height / (2 * np.tan(self.fov / 2)))

    def project(
        self, points: npt.ArrayLike, size: tuple[int, int]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Pixels (N, 2) as (u, v) and depths (N,) in metres of world points (N, 3); size is (height, width).

        Points behind the camera have a depth <= 0 and meaningless pixels.
        """
        relative = np.asarray(points, np.float64) - np.array(self.position)
        x, y, z = self.rotation() @ relative.T
        scale = self.focal(size[0]) / np.where(z == 0, np.finfo(np.float64).tiny, z)
        return np.stack([x * scale + size[1] / 2, y * scale + size[0] / 2], axis=1), z

    def rays(self, u: Floats, v: Floats, size: tuple[int, int]) -> Floats:
        """World directions (3, ...) through image points u, v (...), one metre long along the optical axis.

        With that length, a ray's parameter is the depth of what it meets.
        """
        right, down, forward = self.rotation().astype(np.float32).reshape(3, 3, *[1] * u.ndim)
        focal = self.focal(size[0])
        x = (u - np.float32(size[1] / 2)) * np.float32(1 / focal)
        y = (v - np.float32(size[0] / 2)) * np.float32(1 / focal)
        rays: Floats = right * x + down * y + forward
        return rays
