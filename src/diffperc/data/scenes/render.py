"""Rendering of a scene: image, depth, class mask and instance mask."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .casting import Geometry, Hits, cast, joined, prepare
from .furniture import OBJECTS
from .shading import shade
from .shapes import Floats
from .world import Scene

CLASSES: tuple[str, ...] = ("floor", "wall", "ceiling", *OBJECTS, "person")
"""Names of the class ids in a mask."""

_SUBPIXELS = np.array([[-0.36, -0.2], [0.36, 0.2]], np.float32)
"""Offsets from a pixel's centre of the extra rays on an edge, pixels."""
_ENCODING = np.round(255 * np.sqrt(np.arange(4096) / 4095)).astype(np.uint8)

# The C library returns every freed array of over 128 KiB to the system, at hundreds of page faults a picture, until a
# larger one has been freed: from then on it keeps what is smaller than that. Nothing is read or written here.
np.empty(24 << 20, np.uint8)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the camera sees. Depth and masks are those of the ray through each pixel's centre."""

    image: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, anti-aliased."""
    depth: Floats
    """(H, W) metres along the optical axis, in (0, MAX_DEPTH]."""
    mask: npt.NDArray[np.uint8]
    """(H, W) class ids: positions in CLASSES."""
    instance: npt.NDArray[np.int16]
    """(H, W): 0 is the room, i + 1 is objects[i]."""


def render(scene: Scene, size: tuple[int, int] = (128, 128)) -> Rendered:
    """Draw a scene; size is (height, width) in pixels."""
    height, width = size
    v, u = np.indices(size, np.float32) + np.float32(0.5)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        geometry = prepare(scene, size)
        centre = cast(geometry, u, v)
        edge = np.flatnonzero(_edges(centre, size, scene.camera.focal(height)))
        # A pixel on an edge is the mean of its centre and of rays spread around it.
        around = _SUBPIXELS[:, :, None] + np.stack([u.ravel()[edge], v.ravel()[edge]])
        spread = cast(geometry, around[:, 0].ravel(), around[:, 1].ravel())
        samples = shade(geometry, joined(centre, spread))
    radiance = samples[:, : height * width]
    extra = samples[:, height * width :].reshape(3, len(_SUBPIXELS), -1).sum(axis=1)
    radiance[:, edge] = (radiance.take(edge, axis=1) + extra) * np.float32(1 / (1 + len(_SUBPIXELS)))
    classes, instances = _labels(geometry)
    return Rendered(
        image=_developed(radiance, scene.light.exposure).reshape(height, width, 3),
        depth=centre.depth.reshape(size),
        mask=classes[centre.source].reshape(size),
        instance=instances[centre.source].reshape(size),
    )


def _developed(radiance: Floats, brightness: float) -> npt.NDArray[np.uint8]:
    """8-bit pixels (n, 3) of linear radiance (3, n), exposed for a mean brightness in (0, 1)."""
    mean = float(np.array([0.3, 0.55, 0.15]) @ radiance.mean(axis=1))
    # A power below one keeps a bright room brighter than a dim one.
    exposed = radiance * np.float32((brightness / mean) ** 0.8)
    toned = np.minimum(exposed * np.float32(1.15) / (1 + np.float32(0.15) * exposed), 1)
    return np.ascontiguousarray(_ENCODING[(toned * np.float32(len(_ENCODING) - 1)).astype(np.intp)].T)


def _labels(geometry: Geometry) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
    """Class id and instance number of every surface."""
    scene = geometry.scene
    names = ["wall"] * 4 + ["floor", "ceiling"] + [name for name, _ in scene.room.decor]
    owners = [0] * len(names)
    for number, thing in enumerate(scene.objects):
        names += [thing.kind] * len(thing.primitives)
        owners += [number + 1] * len(thing.primitives)
    return np.array([CLASSES.index(name) for name in names], np.uint8), np.array(owners, np.int16)


def _edges(hits: Hits, size: tuple[int, int], focal: float) -> npt.NDArray[np.bool_]:
    """Pixels (H, W) at the border of a surface or a shadow, or at a crease of a surface."""
    key = (2 * hits.source + hits.shadow).reshape(size)
    # Across a plane 1 / depth is linear in the image, so a bend of it shows a crease.
    inverse = 1 / hits.depth.reshape(size)
    edge = np.zeros(size, np.bool_)
    for k, i, e in ((key, inverse, edge), (key.T, inverse.T, edge.T)):
        border = k[1:] != k[:-1]
        e[1:] |= border
        e[:-1] |= border
        e[1:-1] |= np.abs(i[2:] + i[:-2] - 2 * i[1:-1]) > i[1:-1] * np.float32(0.6 / focal)
    return edge
