"""Depth metrics: per image over the pixels that count, then averaged over images (methods.md 1.3)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from diffperc.checks import check_shape
from diffperc.layers.valid import valid_depth

NAMES = ("delta1", "delta2", "delta3", "abs_rel", "sq_rel_m", "rmse_m", "rmse_log", "log10", "silog")


def valid_pixels(
    target: Tensor,
    min_depth: float,
    max_depth: float,
    crop: tuple[int, int, int, int] | None = None,
    crop_size: tuple[int, int] | None = None,
) -> Tensor:
    """Which pixels count: measured, between the caps, and inside the crop.

    Args:
        target: (..., H, W) metres.
        min_depth: metres, exclusive.
        max_depth: metres, exclusive.
        crop: (top, bottom, left, right) in pixels of an image of `crop_size`; another size gets it in proportion.
        crop_size: (height, width); None: the target's.

    Returns:
        A bool tensor of the same shape.
    """
    valid = valid_depth(target, max_depth, min_depth)
    if crop is None:
        return valid
    height, width = target.shape[-2:]
    full_h, full_w = crop_size or (height, width)
    top, bottom, left, right = crop
    inside = torch.zeros_like(valid)
    rows = slice(round(top * height / full_h), round(bottom * height / full_h))
    columns = slice(round(left * width / full_w), round(right * width / full_w))
    inside[..., rows, columns] = True
    return valid & inside


def image_metrics(prediction: Tensor, target: Tensor) -> Tensor:
    """The nine metrics of `NAMES` for one image's counted pixels.

    Args:
        prediction: (P,) metres, P > 0.
        target: (P,) metres.

    Returns:
        (9,) float64. `sq_rel_m` and `rmse_m` are in metres, the others without unit; of the deltas more is better.
    """
    p, t = prediction.double(), target.double()
    ratio = torch.maximum(t / p, p / t)
    error, log_error = p - t, p.log() - t.log()
    deltas = [(ratio < 1.25**k).double().mean() for k in (1, 2, 3)]
    return torch.stack(
        [
            *deltas,
            (error.abs() / t).mean(),
            (error**2 / t).mean(),
            (error**2).mean().sqrt(),
            (log_error**2).mean().sqrt(),
            (p.log10() - t.log10()).abs().mean(),
            # variance_focus 0.5, not the KITTI definition and not times 100 (methods.md 10.24)
            ((log_error**2).mean() - 0.5 * log_error.mean() ** 2).clamp_min(0).sqrt(),
        ]
    )


class DepthMetrics(Metric):
    """delta1-3, AbsRel, SqRel, RMSE, RMSE-log, log10 and SILog, averaged over images.

    Predictions are not clamped to the caps; only what is not a number counts as the smallest depth and what is infinite
    as the largest, as in the published evaluation. Images without a counted pixel are left out.

    Args:
        min_depth: see `valid_pixels`.
        max_depth: see `valid_pixels`.
        crop: see `valid_pixels`.
        crop_size: see `valid_pixels`.
        all_processes: in a distributed run, average over the images of all processes.
    """

    higher_is_better = False
    full_state_update = False
    total: Tensor
    images: Tensor

    def __init__(
        self,
        min_depth: float,
        max_depth: float,
        crop: tuple[int, int, int, int] | None = None,
        crop_size: tuple[int, int] | None = None,
        all_processes: bool = True,
    ) -> None:
        super().__init__(sync_on_compute=all_processes)
        self.min_depth, self.max_depth, self.crop, self.crop_size = min_depth, max_depth, crop, crop_size
        self.add_state("total", torch.zeros(len(NAMES), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: (B, 1, H, W) metres.
            target: (B, 1, H, W) metres, of that size; 0 = not measured.
        """
        sizes = check_shape("target", target, "B 1 H W")
        check_shape("prediction", prediction, "B 1 H W", **sizes)
        low, high = self.min_depth, self.max_depth
        clean = torch.nan_to_num(prediction.float(), nan=low, posinf=high, neginf=low).clamp_min(1e-6)
        for p, t in zip(clean, target, strict=True):
            valid = valid_pixels(t, low, high, self.crop, self.crop_size)
            if valid.any():
                self.total += image_metrics(p[valid], t[valid])
                self.images += 1

    def compute(self) -> dict[str, Tensor]:
        """By name: the mean over images, NaN if there was none."""
        mean = self.total / self.images if self.images > 0 else torch.full_like(self.total, torch.nan)
        return dict(zip(NAMES, mean.float().unbind(), strict=True))
