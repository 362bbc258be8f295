"""Metric depth."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffperc.errors import ConfigError
from diffperc.files.images import read_depth, written_scale
from diffperc.layers.valid import valid_depth
from diffperc.types import DatasetInfo, DenseTarget, FolderOptions, FolderReader, Panel, Sample, Statistics
from diffperc.visualization.colours import Scale

_SPARSE = 0.2
_SCALE = "depth, counts per metre that the file says"
_MIXED = 50.0  # factor between the mean depths of two images
_RANGE_USED = 0.1  # of max_depth, below which it may be a mistake
_PLAUSIBLE = (0.1, 200.0)  # metres


class DepthTarget(DenseTarget):
    """(H, W) float32 metres along the optical axis; 0 = not measured."""

    name = "depth"
    dims = "B 1 h w"
    folder = column = "depth"
    suffixes = (".png", ".npy")
    rendered = True

    def from_scene(self, rendered: Any) -> NDArray[np.float32]:
        depth: NDArray[np.float32] = rendered.depth
        return depth

    def folder_reader(self, options: FolderOptions) -> FolderReader:
        if not options.depth_scale > 0:
            raise ConfigError(
                f"dataset.depth_scale: must be more than 0 counts per metre, found {options.depth_scale}."
            )
        return FolderReader(partial(read_depth, scale=options.depth_scale))

    def tensor(self, values: NDArray[Any]) -> Tensor:
        """(1, h, w) float32."""
        return torch.from_numpy(values.copy())[None]

    def statistics(self, sample: Sample, info: DatasetInfo) -> Statistics:
        depth = sample.targets[self.name]
        measured = depth[depth > 0]
        values = {"depth, measured share": measured.size / depth.size}
        if measured.size:
            counts = valid_depth(measured, info.max_depth)
            values["depth, share that counts"] = float(counts.mean())
            values["depth, least m"] = float(measured.min())
            # gaps that a file marks by a large number would hide the scale
            values["depth, mean m"] = float((measured[counts] if counts.any() else measured).mean(dtype=np.float64))
            values["depth, largest m"] = float(measured.max())
        scale = written_scale(sample.files[1]) if len(sample.files) > 1 else None
        if scale is not None:
            values[_SCALE] = scale
        return Statistics(values)

    def problems(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        if summary.share_above("depth, share that counts", 0):
            return []
        return [
            f"{split}: no pixel of any image counts: depth is 0, not a number, or beyond "
            f"dataset.max_depth={info.max_depth:g} m everywhere; is dataset.depth_scale right?"
        ]

    def notes(self, summary: Any, info: DatasetInfo, split: str) -> list[str]:
        notes = []
        _, median, _ = summary.ranges().get("depth, mean m", (1, 1, 1))
        if not _PLAUSIBLE[0] < median < _PLAUSIBLE[1]:
            notes.append(
                f"{split}: the median of the images' mean depths is {median:.3g} m; is dataset.depth_scale right, and are "
                "arrays in metres?"
            )
        notes += _units(summary, info, split)
        beyond = summary.share_above("depth, largest m", info.max_depth or np.inf)
        if beyond:
            _, _, largest = summary.ranges()["depth, largest m"]
            share = 1 - summary.mean("depth, share that counts")
            notes.append(
                f"{split}: {beyond:.0%} of the images have depths beyond dataset.max_depth={info.max_depth:g} m, up to "
                f"{largest:.4g} m: {share:.1%} of what was measured is not counted; set dataset.max_depth to the largest "
                "depth that the network should express."
            )
        if _SCALE in summary.ranges():
            least, _, largest = summary.ranges()[_SCALE]
            found = f"{least:g}" if least == largest else f"{least:g} to {largest:g}"
            notes.append(
                f"{split}: depth files say their own scale, {found} counts per metre, which is read instead of "
                "dataset.depth_scale."
            )
        empty = 1 - summary.share_above("depth, measured share", 0)
        if empty:
            notes.append(f"{split}: {empty:.0%} of the images have no measured depth at all.")
        return notes

    def panel(self, sample: Sample, info: DatasetInfo) -> Panel:
        depth = sample.targets[self.name]
        measured = depth > 0
        low, high = 0.0, 1.0
        if measured.any():
            low, high = float(depth[measured].min()), float(depth[measured].max())
        picture = Scale(low, high).draw(np.where(measured, depth, np.nan))
        if measured.mean() < _SPARSE:  # single points would be invisible
            side = 2 * max(1, picture.shape[1] // 400) + 1
            brush = np.ones((side, side), np.uint8)
            points = cv2.dilate(measured.astype(np.uint8), brush)[..., None] > 0
            picture = np.where(points, cv2.dilate(picture, brush), sample.image // 3).astype(np.uint8)
        return Panel(f"depth {low:.1f} to {high:.1f} m, {measured.mean():.0%} measured", picture)


def _units(summary: Any, info: DatasetInfo, split: str) -> list[str]:
    """Notes about depth that may not be in metres, or not in those that `max_depth` suggests."""
    ranges, notes = summary.ranges(), []
    if "depth, largest m" not in ranges:
        return []
    least, _, largest = ranges["depth, mean m"]
    if largest > _MIXED * least:
        notes.append(
            f"{split}: the mean depths of the images are between {least:.3g} and {largest:.3g} m; are the units mixed?"
        )
    first, _, last = ranges["depth, largest m"]
    if first == last == 1.0 and summary.count > 1:
        notes.append(
            f"{split}: the largest depth of every image is 1; if each was scaled to [0, 1], it is no depth in metres."
        )
    if info.max_depth is not None and last < _RANGE_USED * info.max_depth:
        notes.append(
            f"{split}: no depth is beyond {last:.3g} m, and dataset.max_depth={info.max_depth:g} m; set it to the largest "
            "depth that the network should express, for a finer resolution."
        )
    return notes
