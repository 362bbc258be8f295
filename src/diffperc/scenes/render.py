"""Rendering of a scene: image, depth, class mask, instance mask and surface normals."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from diffperc.scenes.casting import Hits, cast, joined, refine
from diffperc.scenes.furniture import OBJECTS
from diffperc.scenes.geometry import FIRST_PRIMITIVE, Flags, Geometry, prepare
from diffperc.scenes.shading import camera_normals, shade
from diffperc.scenes.shapes import Floats
from diffperc.scenes.world import Scene

CLASSES: tuple[str, ...] = ("floor", "wall", "ceiling", *OBJECTS, "person")
"""Names of the class ids in a mask."""

# The C library returns every freed array of over 128 KiB to the system, which costs hundreds of page faults per image.
# Once a larger array has been freed, it keeps the smaller ones. Nothing is read or written here.
np.empty(24 << 20, np.uint8)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the camera sees. Depth, masks and normals are those of the ray through each pixel's centre."""

    image: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, anti-aliased."""
    depth: Floats
    """(H, W) metres along the optical axis, in (0, MAX_DEPTH]."""
    mask: npt.NDArray[np.uint8]
    """(H, W) class ids: positions in CLASSES."""
    instance: npt.NDArray[np.int16]
    """(H, W): 0 is the room, i + 1 is objects[i]."""
    geometry: Geometry = field(repr=False)
    hits: Hits = field(repr=False)
    """What the H * W rays through the pixels' centres met, row by row."""

    @property
    def normals(self) -> Floats:
        """(H, W, 3) unit normals of the surfaces themselves, without their textures; computed at each access.

        They are in camera coordinates: x to the right, y down, z along the optical axis away from the camera. Every
        normal faces the camera: its scalar product with the viewing ray is negative.
        """
        return camera_normals(self.geometry, self.hits).reshape(*self.depth.shape, 3)


def render(scene: Scene, size: tuple[int, int] = (128, 128)) -> Rendered:
    """Render a scene; size is (height, width) in pixels."""
    height, width = size
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        geometry = prepare(scene, size)
        centre = cast(geometry)
        border, crease = _edges(centre, size, scene.camera.focal(height))
        edge = np.flatnonzero(border | crease)
        # A pixel on an edge is the mean of its central ray and two rays beside that one. Where these meet what the
        # central ray meets, they are not shaded again, except at a crease, where one surface changes its direction.
        beside, pair = refine(geometry, centre, edge), np.tile(edge, 2)
        changed = (beside.source != centre.source[pair]) | (beside.shadow != centre.shadow[pair])
        fresh = np.flatnonzero(changed | ~border.ravel()[pair])
        samples = shade(geometry, joined(centre, beside.at(fresh)))
    radiance = samples[:, : height * width]
    extra = radiance.take(pair, axis=1)
    extra[:, fresh] = samples[:, height * width :]
    radiance[:, edge] = (radiance.take(edge, axis=1) + extra[:, : edge.size] + extra[:, edge.size :]) / np.float32(3)
    classes, instances = _labels(geometry)
    return Rendered(
        image=_developed(radiance, scene.light.exposure).reshape(height, width, 3),
        depth=centre.depth.reshape(size),
        mask=classes[centre.source].reshape(size),
        instance=instances[centre.source].reshape(size),
        geometry=geometry,
        hits=centre,
    )


def _developed(radiance: Floats, brightness: float) -> npt.NDArray[np.uint8]:
    """8-bit pixels (n, 3) from linear radiance (3, n), exposed for a mean brightness in (0, 1)."""
    mean = float(np.array([0.3, 0.55, 0.15]) @ radiance.mean(axis=1))
    # A power below one keeps a bright room brighter than a dim one.
    exposed = radiance * np.float32((brightness / mean) ** 0.8)
    toned = exposed / (np.float32(1 / 1.15) + np.float32(0.15 / 1.15) * exposed)
    np.sqrt(np.minimum(toned, 1, out=toned), out=toned)
    toned *= np.float32(255)
    toned += np.float32(0.5)
    return np.ascontiguousarray(toned.astype(np.uint8).T)


def _labels(geometry: Geometry) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
    """Class id and instance number of every surface."""
    names = ("wall", "wall", "wall", "wall", "floor", "ceiling", *geometry.kinds)
    owners = np.concatenate([np.zeros(FIRST_PRIMITIVE, np.int16), geometry.owners])
    return np.array([CLASSES.index(name) for name in names], np.uint8), owners


def _edges(hits: Hits, size: tuple[int, int], focal: float) -> tuple[Flags, Flags]:
    """Pixels (H, W) at the border of a surface or a shadow, and those at a crease of a surface."""
    key = (2 * hits.source + hits.shadow).reshape(size)
    # Across a plane 1 / depth is linear in the image, so that a bend in it means a crease.
    inverse = 1 / hits.depth.reshape(size)
    limit = inverse * np.float32(0.6 / focal)
    border, crease = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    for k, i, m, b, c in ((key, inverse, limit, border, crease), (key.T, inverse.T, limit.T, border.T, crease.T)):
        differs = k[1:] != k[:-1]
        b[1:] |= differs
        b[:-1] |= differs
        slope = i[1:] - i[:-1]
        c[1:-1] |= np.abs(slope[1:] - slope[:-1]) > m[1:-1]
    return border, crease
