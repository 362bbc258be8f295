"""Shape checks at the border: declared where a contract object is built, reported with the shape that came."""

from __future__ import annotations

import torch
from torch import Tensor


def check_shape(name: str, tensor: Tensor, dims: str, **sizes: int) -> dict[str, int]:
    """Compare a tensor with a declared shape and return the sizes by letter.

    Args:
        name: what the tensor is, for the message, such as ``Conditioning.tokens``.
        tensor: the tensor to check.
        dims: space-separated names of its axes, such as ``"B N D"``; a number stands for itself.
        sizes: sizes that are already known, such as ``B=4``.

    Raises:
        ValueError: ``Conditioning.tokens must be (B, N, D), got (50, 768)``.
    """
    axes = dims.split()
    known = dict(sizes)
    good = tensor.dim() == len(axes)
    for axis, size in zip(axes, tensor.shape, strict=False):
        expected = int(axis) if axis.isdigit() else known.setdefault(axis, size)
        good = good and expected == size
    if not good:
        where = ", ".join(f"{k}={v}" for k, v in sizes.items())
        raise ValueError(
            f"{name} must be ({', '.join(axes)}){f' with {where}' if where else ''}, got {tuple(tensor.shape)}"
        )
    return known


def check_dtype(name: str, tensor: Tensor, dtype: torch.dtype) -> None:
    """Raise a ``ValueError`` naming both dtypes if they differ."""
    if tensor.dtype != dtype:
        raise ValueError(f"{name} must be {dtype}, got {tensor.dtype}")


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """Where half precision is not enough, such as in a softmax: float32; float64 stays what it is."""
    return torch.promote_types(dtype, torch.float32)
