"""The fastest products and convolutions that this device shows, as a limit for what a model could reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

_TRIES = 5


def gemm_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a product of two large square matrices."""
    side = 1536 if device.type == "cpu" else 8192
    factor = torch.ones(side, side, device=device, dtype=dtype)
    return 2 * side**3 / _fastest(lambda: factor @ factor, device)


def convolution_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a 3 x 3 convolution as in the VAE's third level, 512 to 512 channels, computed directly."""
    side = 64 if device.type == "cpu" else 128
    conv = nn.Conv2d(512, 512, 3, padding=1, device=device, dtype=dtype)
    image = torch.ones(1, 512, side, side, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    return 2 * 9 * 512**2 * side**2 / _fastest(lambda: conv(image), device)


def flops_of(call: Callable[[], Any]) -> int:
    """Additions and multiplications of a call: products, convolutions and attention, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@torch.inference_mode()
def _fastest(call: Callable[[], Any], device: torch.device) -> float:
    seconds = []
    for _ in range(_TRIES + 1):
        wait_for(device)
        start = time.perf_counter()
        call()
        wait_for(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
