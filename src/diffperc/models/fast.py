"""A network that is only run, arranged for the CPU it runs on."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from torch import nn

from diffperc.layers.fast_convolution import FastConvolution
from diffperc.layers.fast_norm import FastGroupNorm

_KINDS: tuple[Any, ...] = (FastConvolution, FastGroupNorm)
# of mallopt(3)
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def make_fast(model: nn.Module) -> int:
    """Replace layers of a network on a CPU by `FastConvolution` and `FastGroupNorm`, which can no longer be trained.

    Args:
        model: changed in place; weights of convolutions are released as they are arranged, and can no longer be saved.

    Returns:
        How many were replaced.
    """
    replaced = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            for kind in _KINDS:
                if kind.can_replace(child):
                    setattr(parent, name, kind(child))
                    replaced += 1
    return replaced


def keep_freed_memory() -> None:
    """Let this process keep memory that tensors have left, instead of asking the system for new pages for each.

    Clearing pages took a fifth of a forward pass at 512 x 512. The process grows to its peak and stays there. Only glibc has
    such a choice.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 64 * 2**20)
