"""Surface normals.

Camera coordinates: x to the right, y up, z towards the viewer, so that what faces the camera has z > 0 and, drawn as
(n + 1) / 2, is blue; floors are green, what faces right is red.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffperc.errors import DataError
from diffperc.files.images import read_array
from diffperc.types import DatasetInfo, DenseTarget, FolderOptions, FolderReader, Panel, Sample, Statistics
from diffperc.visualization.normals import normal_colours

_AWAY, _LEAST = "normals, share that points away", "normals, least component"
_FEW_AWAY = 0.2
_LENGTHS = (0.5, 1.5)  # of a vector that was measured; files hold zero, black or grey elsewhere


class NormalsTarget(DenseTarget):
    """(H, W, 3) float32 unit vectors; (0, 0, 0) = not measured."""

    name = "normals"
    dims = "B 3 h w"
    folder = column = "normals"
    suffixes = (".png", ".npy")
    rendered = True
    turns = True

    def from_scene(self, rendered: Any) -> NDArray[np.float32]:
        """The renderer has y down and z away from the camera."""
        turned: NDArray[np.float32] = rendered.normals * np.array([1, -1, -1], np.float32)
        return turned

    def folder_reader(self, options: FolderOptions) -> FolderReader:
        return FolderReader(read_normals)

    def mirrored(self, values: NDArray[Any]) -> NDArray[Any]:
        """In the mirrored scene x points the other way."""
        return values * np.array([-1, 1, 1], values.dtype)

    def tensor(self, values: NDArray[Any]) -> Tensor:
        """(3, h, w) float32."""
        return torch.from_numpy(values.copy()).permute(2, 0, 1)

    def statistics(self, sample: Sample, info: DatasetInfo) -> Statistics:
        normals = sample.targets[self.name]
        measured = normals.any(-1)
        values = {"normals, measured share": float(measured.mean())}
        if measured.any():
            mean = normals[measured].mean(0)
            for axis, component in zip(("x", "y", "z"), mean, strict=True):
                values[f"normals, mean {axis}"] = float(component)
            values[_AWAY] = float((normals[measured][:, 2] < 0).mean())
            values[_LEAST] = float(normals[measured].min())
        return Statistics(values)

    def problems(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        if summary.share_above("normals, measured share", 0):
            return []
        return [
            f"{split}: no pixel of any image has a normal: a vector of length 0.5 to 1.5, in images (n + 1) / 2 of the "
            "largest value."
        ]

    def notes(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        notes = []
        ranges = summary.ranges()
        if _AWAY in ranges and ranges[_AWAY][1] > _FEW_AWAY:
            notes.append(
                f"{split}: {ranges[_AWAY][1]:.0%} of the normals point away from the camera, and what is seen faces it; x "
                "must point right, y up and z towards the viewer; are channels swapped, as in BGR?"
            )
        if _LEAST in ranges and ranges[_LEAST][0] >= 0:
            notes.append(
                f"{split}: no component of any normal is negative; arrays hold the vectors themselves, not (n + 1) / 2 of "
                "them."
            )
        empty = 1 - summary.share_above("normals, measured share", 0)
        if empty:
            notes.append(f"{split}: {empty:.0%} of the images have no measured normal at all.")
        return notes

    def panel(self, sample: Sample, info: DatasetInfo) -> Panel:
        normals = sample.targets[self.name]
        return Panel(f"normals, {normals.any(-1).mean():.0%} measured", normal_colours(normals))


def read_normals(path: Path) -> NDArray[np.float32]:
    """(H, W, 3) float32 unit vectors of a file; (0, 0, 0) where none was measured.

    Of an RGB image of 8 or 16 bits: n = 2 value / maximum - 1. Of an npy file: the vectors, (H, W, 3). What is not about of
    length 1 (black or grey pixels, zeros, NaN) was not measured.

    Raises:
        DataError: missing, damaged, or without three channels.
    """
    if path.suffix.lower() == ".npy":
        vectors = read_array(path).astype(np.float32)
    else:
        pixels = _read_colours(path)
        vectors = (2 * (pixels / np.iinfo(pixels.dtype).max) - 1).astype(np.float32)
    if vectors.ndim != 3 or vectors.shape[2] != 3:
        raise DataError(f"{path}: normals have three numbers per pixel, this file has the shape {vectors.shape}.")
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    measured = (length > _LENGTHS[0]) & (length < _LENGTHS[1])
    return np.where(measured, vectors / np.where(measured, length, 1), 0).astype(np.float32)


def _read_colours(path: Path) -> NDArray[Any]:
    """RGB of 8 or 16 bits, which Pillow would reduce to 8."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DataError(f"{path}: cannot be read as an image; replace or remove it.")
    return pixels[..., 2::-1] if pixels.ndim == 3 else pixels
