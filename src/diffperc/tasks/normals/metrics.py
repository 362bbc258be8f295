"""Angular errors of surface normals, over all measured pixels of all images."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from diffperc.checks import check_shape

THRESHOLDS = {"within_11_25": 11.25, "within_22_5": 22.5, "within_30": 30.0}
_BINS_PER_DEGREE = 100


def angular_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Degrees in [0, 180] between unit vectors along axis 1: (B, 3, H, W) twice to (B, H, W).

    By atan2 of cross and dot product: the arc cosine loses all digits of small angles in float32.
    """
    dtype = torch.promote_types(prediction.dtype, target.dtype)  # of a network in another precision
    prediction, target = prediction.to(dtype), target.to(dtype)
    cross = torch.linalg.cross(prediction, target, dim=1).norm(dim=1)
    dot = (prediction * target).sum(1)
    return torch.rad2deg(torch.atan2(cross, dot))


class NormalsMetrics(Metric):
    """Mean and median angular error in degrees, and the shares of pixels within 11.25, 22.5 and 30 degrees.

    The median comes from a histogram of hundredths of a degree.

    Args:
        all_processes: in a distributed run, over the pixels of all processes.
    """

    higher_is_better = False
    full_state_update = False
    total: Tensor
    near: Tensor
    histogram: Tensor

    def __init__(self, all_processes: bool = True) -> None:
        super().__init__(sync_on_compute=all_processes)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("near", torch.zeros(len(THRESHOLDS), dtype=torch.int64), dist_reduce_fx="sum")
        bins = 180 * _BINS_PER_DEGREE
        self.add_state("histogram", torch.zeros(bins, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: (B, 3, H, W) unit vectors.
            target: (B, 3, H, W) unit vectors, of that size; (0, 0, 0) = not measured.
        """
        sizes = check_shape("target", target, "B 3 H W")
        check_shape("prediction", prediction, "B 3 H W", **sizes)
        error = angular_error(prediction.double(), target.double())[target.any(1)]
        self.total += error.sum()
        limits = error.new_tensor(list(THRESHOLDS.values()))
        self.near += (error[:, None] < limits).sum(0)
        bins = (error * _BINS_PER_DEGREE).long().clamp(max=len(self.histogram) - 1)
        self.histogram += torch.bincount(bins, minlength=len(self.histogram))

    def compute(self) -> dict[str, Tensor]:
        """``mean_deg``, ``median_deg``, and shares in [0, 1] of which more is better; NaN if nothing was measured."""
        count = self.histogram.sum()
        below = self.histogram.cumsum(0)
        middle = torch.searchsorted(below, (count + 1) // 2)
        median = (middle + 0.5) / _BINS_PER_DEGREE if count > 0 else self.total * torch.nan
        values = {"mean_deg": self.total / count, "median_deg": median}
        values |= dict(zip(THRESHOLDS, (self.near / count).unbind(), strict=True))
        return {name: value.float() for name, value in values.items()}
