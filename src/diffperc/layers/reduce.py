"""Sums over all processes of a distributed run, for means over a whole global batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _AllReduce(torch.autograd.Function):
    """The sum over the processes, whose gradient is the sum of the gradients: each loss depends on all the inputs.

    PyTorch's own (`torch.distributed.nn.functional.all_reduce`) is deprecated in 2.13 in favour of a private module.
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor) -> Tensor:
        total = sums.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def is_distributed() -> bool:
    """Whether this run has several processes."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def global_sums(sums: Tensor) -> Tensor:
    """The sums over all processes, with gradients to each; `sums` itself where there is one process.

    A loss computed from them equals that of one process with the same global batch, and so do its gradients after DDP
    has averaged them.

    Args:
        sums: of any shape, the same on all processes.
    """
    if not is_distributed():
        return sums
    total: Tensor = _AllReduce.apply(sums)
    return total


def process_of() -> tuple[int, int]:
    """The rank of this process and the number of processes."""
    if not is_distributed():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()
