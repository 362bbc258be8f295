"""Cross-entropy over pixels (methods.md 1.1, 1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from diffperc.checks import at_least_float32, check_dtype, check_shape
from diffperc.layers.reduce import global_sums


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    class_weights: Sequence[float] | None = None,
    average: Literal["all", "counted"] = "all",
) -> Tensor:
    """``sum(w * -log softmax(logits)[target])`` over the counted pixels, divided as `average` defines.

    Sums run over the whole global batch, in a distributed run over all processes.

    Args:
        logits: (B, K, H, W).
        target: (B, H, W) int64 class ids.
        ignore_index: pixels of this id are not counted.
        class_weights: w by class id, K of them; None: 1.
        average: ``all`` divides by the number of pixels, ignored ones included, as mmsegmentation does by default;
            ``counted`` divides by the sum of the counted pixels' weights, as PyTorch does.

    Returns:
        A scalar; zero, with zero gradients, if no pixel is counted.

    Raises:
        ValueError: the shapes differ, `target` is not int64, or `class_weights` does not have K weights.
    """
    sizes = check_shape("logits", logits, "B K H W")
    check_shape("target", target, "B H W", B=sizes["B"], H=sizes["H"], W=sizes["W"])
    check_dtype("target", target, "int64")
    if class_weights is not None and len(class_weights) != sizes["K"]:
        raise ValueError(f"class_weights must be one per class: {sizes['K']}, got {len(class_weights)}")
    # half precision cannot represent a sum over a batch's pixels
    exact = logits.to(at_least_float32(logits.dtype))
    weights = None if class_weights is None else exact.new_tensor(class_weights)
    total = F.cross_entropy(exact, target, weights, ignore_index=ignore_index, reduction="sum")
    count = total.new_tensor(target.numel())
    if average == "counted":
        count = _total_weight(target[target != ignore_index], weights).to(total)
    sums = global_sums(torch.stack([total, count]))
    return sums[0] / torch.where(sums[1] > 0, sums[1], torch.ones_like(sums[1]))


def _total_weight(classes: Tensor, weights: Tensor | None) -> Tensor:
    """The sum of the weights of the class ids (P,)."""
    if weights is None:
        return torch.tensor(classes.numel())
    return weights[classes].sum()
