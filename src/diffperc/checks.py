"""Checks of shapes and dtypes where contract objects are built; a message holds the expected and the actual one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    expected = []
    for axis, size in zip(axes, tensor.shape, strict=False):
        expected.append(int(axis) if axis.isdigit() else known.setdefault(axis, size))
    if tensor.dim() == len(axes) and list(tensor.shape) == expected:
        return known
    declared = f"({', '.join(axes)})"
    if sizes:
        declared += " with " + ", ".join(f"{axis}={size}" for axis, size in sizes.items())
    raise ValueError(f"{name} must be {declared}, got {tuple(tensor.shape)}")


def check_dtype(name: str, tensor: Tensor, dtype: str) -> None:
    """Raise a ``ValueError`` naming both dtypes if they differ; `dtype` as in ``int64``."""
    if str(tensor.dtype) != f"torch.{dtype}":
        raise ValueError(f"{name} must be torch.{dtype}, got {tensor.dtype}")


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """The dtype for what half precision cannot represent, such as a softmax: float32, or float64 for float64."""
    import torch

    return torch.promote_types(dtype, torch.float32)
