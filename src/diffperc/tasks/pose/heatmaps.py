"""Heatmaps of keypoints: their sub-pixel maxima, their mirror image, and the way back to the image.

A point (x, y) counts pixel centres, the first being (0, 0), in heatmap, crop and image alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_FLOOR = 1e-10  # smallest value a logarithm is taken of


def _smoothing(side: int, like: Tensor) -> Tensor:
    """(3, side + 2): the weights of Gaussian averages centred on the three middle cells of side + 2 neighbours."""
    sigma = 0.3 * ((side - 1) * 0.5 - 1) + 0.8  # OpenCV's width for a kernel of this side
    offsets = torch.arange(side, device=like.device, dtype=like.dtype) - side // 2
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    return torch.stack([F.pad(kernel, (i, 2 - i)) for i in range(3)])


def _neighbourhoods(maps: Tensor, x: Tensor, y: Tensor, side: int) -> Tensor:
    """Smoothed values (B, K, 3, 3) around the cells x, y (B, K), which are not on the border.

    Where the smoothing window extends beyond the map, the values are not smoothed: a window cut off by the border would
    shift the maximum by up to two pixels.
    """
    radius = side // 2
    b, k, h, w = maps.shape
    padded = F.pad(maps, (radius,) * 4)
    window = torch.arange(side + 2, device=maps.device)
    rows, columns = (y[..., None] - 1 + window)[..., :, None], (x[..., None] - 1 + window)[..., None, :]
    batch = torch.arange(b, device=maps.device)[:, None, None, None]
    channel = torch.arange(k, device=maps.device)[None, :, None, None]
    patch = padded[batch, channel, rows, columns]
    kernel = _smoothing(side, maps)
    reach = radius + 1
    whole = (x >= reach) & (x < w - reach) & (y >= reach) & (y < h - reach)
    raw = patch[..., radius : radius + 3, radius : radius + 3]
    # sums of products, not `@`, which autocast computes in half precision: off by up to 2.6 pixels of the image
    rows_smoothed = (patch[..., None, :, :] * kernel[:, :, None]).sum(-2)
    smoothed = (rows_smoothed[..., None, :] * kernel).sum(-1)
    return torch.where(whole[..., None, None], smoothed, raw)


def decode(heatmaps: Tensor, blur: int = 11) -> tuple[Tensor, Tensor]:
    """Where each heatmap is largest, with sub-pixel accuracy.

    "Distribution-Aware Coordinate Representation": near its maximum a heatmap is a Gaussian, whose logarithm is a
    parabola; from value, slope and curvature of the logarithm of the smoothed map one Newton step leads to its top. Where
    the logarithm has no top (flat, not positive) the largest cell is returned.

    Args:
        heatmaps: (B, K, h, w), h and w at least 3.
        blur: pixels, the odd side of the smoothing Gaussian; 1: none.

    Returns:
        points (B, K, 2) float32: x, y in heatmap pixels, within one pixel of the largest cell; confidence (B, K) float32:
        the largest value.
    """
    if blur % 2 == 0:
        raise ValueError(f"decode: blur must be odd, got {blur}")
    maps = heatmaps.float()
    h, w = maps.shape[-2:]
    confidence, index = maps.flatten(2).max(-1)
    peak_x, peak_y = index % w, index // w
    # on the border the parabola is that of the next cell inside
    x, y = peak_x.clamp(1, w - 2), peak_y.clamp(1, h - 2)
    log = _neighbourhoods(maps, x, y, blur).clamp_min(_FLOOR).log()
    slope_x, slope_y = (log[..., 1, 2] - log[..., 1, 0]) / 2, (log[..., 2, 1] - log[..., 0, 1]) / 2
    curve_x = log[..., 1, 2] - 2 * log[..., 1, 1] + log[..., 1, 0]
    curve_y = log[..., 2, 1] - 2 * log[..., 1, 1] + log[..., 0, 1]
    mixed = (log[..., 2, 2] - log[..., 2, 0] - log[..., 0, 2] + log[..., 0, 0]) / 4
    determinant = curve_x * curve_y - mixed**2
    top = (determinant > 0) & (curve_x < 0)
    divisor = torch.where(top, determinant, torch.ones_like(determinant))
    step_x = (mixed * slope_y - curve_y * slope_x) / divisor
    step_y = (mixed * slope_x - curve_x * slope_y) / divisor
    peak = torch.stack([peak_x, peak_y], -1).float()
    found = torch.stack([x + step_x, y + step_y], -1)
    return torch.where(top[..., None], peak + (found - peak).clamp(-1, 1), peak), confidence


def mirrored(heatmaps: Tensor, swap: Sequence[int]) -> Tensor:
    """Convert heatmaps of the mirrored image to heatmaps of the image itself.

    This is exact and needs no shift, because points count pixel centres.

    Args:
        heatmaps: (B, K, h, w).
        swap: for each keypoint the index of its mirror twin.
    """
    return heatmaps.flip(-1)[:, list(swap)]


def to_image(points: Tensor, heatmap: tuple[int, int], crop: tuple[int, int], matrix: Tensor) -> Tensor:
    """Points of a heatmap as points of the image that the crop was cut from.

    Args:
        points: (B, K, 2) heatmap pixels.
        heatmap: (h, w), its size in pixels.
        crop: (H, W), its size in pixels.
        matrix: (B, 2, 3), from the crop to the image, `SampleMeta.crop`.

    Returns:
        (B, K, 2) image pixels.
    """
    ratio = points.new_tensor([(crop[1] - 1) / (heatmap[1] - 1), (crop[0] - 1) / (heatmap[0] - 1)])
    # no `@`, see `_neighbourhoods`
    turned = ((points * ratio)[..., None, :] * matrix[:, None, :, :2]).sum(-1)
    return turned + matrix[:, None, :, 2]
