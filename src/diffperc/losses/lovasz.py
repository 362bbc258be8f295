"""Lovász-softmax (Berman, Rannen Triki, Blaschko: The Lovász-Softmax loss, CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from diffperc.checks import check_dtype, check_shape


def lovasz_softmax(logits: Tensor, target: Tensor, ignore_index: int = 255) -> Tensor:
    """The convex closure of 1 - IoU at the softmax probabilities, averaged over the classes that occur in `target`.

    All counted pixels of the batch make up one set, not each image its own (methods.md 2.2). In a distributed run each
    process has its own set: sorting does not add up over processes.

    Args:
        logits: (B, K, H, W).
        target: (B, H, W) int64 class ids.
        ignore_index: the id that is never counted.

    Returns:
        A scalar in [0, 1]; zero, with zero gradients, if no pixel is counted.

    Raises:
        ValueError: the shapes differ, or `target` is not int64.
    """
    sizes = check_shape("logits", logits, "B K H W")
    check_shape("target", target, "B H W", B=sizes["B"], H=sizes["H"], W=sizes["W"])
    check_dtype("target", target, torch.int64)
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    counted = target != ignore_index
    truth = target[counted]
    probability = exact.softmax(1).movedim(1, 0)[:, counted]
    if truth.numel() == 0:
        return probability.sum()  # an empty sum: zero, but with a gradient
    losses = [_class_loss(probability[c], truth == c) for c in truth.unique().tolist()]
    return torch.stack(losses).mean()


def _class_loss(probability: Tensor, is_class: Tensor) -> Tensor:
    """The extension of the Jaccard loss for one class (the paper's equations 8 and 9): errors, largest first, times
    what each adds to the Jaccard loss of the set of those before it.

    Args:
        probability: (P,) of the class.
        is_class: (P,) bool, somewhere true.
    """
    errors, order = torch.where(is_class, 1 - probability, probability).sort(descending=True)
    steps = _jaccard_steps(is_class[order]).to(errors.dtype)
    # a sum of products, not `@`, which autocast computes in half precision
    return (errors * steps).sum()


def _jaccard_steps(is_class: Tensor) -> Tensor:
    """(P,) float64: what the k-th mispredicted pixel adds to the Jaccard loss of the first k - 1.

    With the first k pixels wrong the loss is k / U, U the size of their union with the class. A pixel of the class
    leaves U as it is and adds 1 / U; another one makes U larger by one and adds k / U - (k - 1) / (U - 1).
    """
    k = torch.arange(1, len(is_class) + 1, device=is_class.device)
    union = (is_class.sum() + (~is_class).cumsum(0)).double()
    return torch.where(is_class, 1 / union, (union - k) / (union * (union - 1).clamp_min(1)))
