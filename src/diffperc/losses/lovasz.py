"""Lovász-softmax (Berman, Rannen Triki, Blaschko: The Lovász-Softmax loss, CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from diffperc.checks import at_least_float32, check_dtype, check_shape


def lovasz_softmax(logits: Tensor, target: Tensor, ignore_index: int = 255) -> Tensor:
    """The convex closure of 1 - IoU at the softmax probabilities, averaged over the classes that occur in `target`.

    All counted pixels of the batch form one set, instead of one set per image (methods.md 2.2). In a distributed run each
    process has its own set, because sorting cannot be summed over processes.

    Args:
        logits: (B, K, H, W).
        target: (B, H, W) int64 class ids.
        ignore_index: pixels of this id are not counted.

    Returns:
        A scalar in [0, 1]; zero, with zero gradients, if no pixel is counted.

    Raises:
        ValueError: the shapes differ, or `target` is not int64.
    """
    sizes = check_shape("logits", logits, "B K H W")
    check_shape("target", target, "B H W", B=sizes["B"], H=sizes["H"], W=sizes["W"])
    check_dtype("target", target, "int64")
    exact = logits.to(at_least_float32(logits.dtype))
    counted = target != ignore_index
    classes = target[counted]
    probability = exact.softmax(1).movedim(1, 0)[:, counted]
    if classes.numel() == 0:
        return probability.sum()  # an empty sum: zero, but with a gradient
    losses = [_class_loss(probability[c], classes == c) for c in classes.unique().tolist()]
    return torch.stack(losses).mean()


def _class_loss(probability: Tensor, is_class: Tensor) -> Tensor:
    """The extension of the Jaccard loss for one class (the paper's equations 8 and 9).

    The sum of all errors, largest first, each times its pixel's increment of the Jaccard loss of the pixels before it.

    Args:
        probability: (P,) of the class.
        is_class: (P,) bool, with at least one true value.
    """
    errors, order = torch.where(is_class, 1 - probability, probability).sort(descending=True)
    steps = _jaccard_steps(is_class[order]).to(errors.dtype)
    # a sum of products, not `@`, which autocast computes in half precision
    return (errors * steps).sum()


def _jaccard_steps(is_class: Tensor) -> Tensor:
    """(P,) float64: the increment of the Jaccard loss from the k-th wrong pixel, after the first k - 1.

    With the first k pixels wrong the loss is k / U, where U is the size of their union with the class. A pixel of the
    class does not change U and adds 1 / U. Any other pixel increases U by one and adds k / U - (k - 1) / (U - 1).
    """
    k = torch.arange(1, len(is_class) + 1, device=is_class.device)
    union = (is_class.sum() + (~is_class).cumsum(0)).double()
    return torch.where(is_class, 1 / union, (union - k) / (union * (union - 1).clamp_min(1)))
