from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from diffperc.losses.lovasz import lovasz_softmax


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def example() -> tuple[Tensor, Tensor]:
    target = (uniform(62, 2, 32, 32) * 150).long()
    target[uniform(63, 2, 32, 32) < 0.1] = 255
    return normal(61, 2, 150, 32, 32) * 2, target


def from_classes(ids: Tensor, classes: int, sharp: float = 100.0) -> Tensor:
    """Logits that predict these ids (B, H, W) with certainty."""
    return torch.nn.functional.one_hot(ids, classes).movedim(-1, 1) * sharp


def test_equals_mmsegmentations_loss_and_gradient() -> None:
    """Numbers from running mmsegmentation 0.30 on the same input."""
    logits, target = example()
    logits.requires_grad_(True)
    loss = lovasz_softmax(logits, target)
    loss.backward()
    assert logits.grad is not None
    assert loss.item() == pytest.approx(0.9935780763626099, rel=1e-6)
    assert logits.grad.double().norm().item() == pytest.approx(0.00042918586432444107, rel=1e-6)


def test_certain_predictions_cost_one_minus_iou() -> None:
    """At the corners of the cube the extension equals the set function it extends."""
    for numbers in itertools.product(range(2), repeat=4):
        predicted = torch.tensor(numbers).reshape(1, 2, 2)
        target = torch.tensor([[[0, 1], [1, 1]]])
        iou = [((predicted == c) & (target == c)).sum() / ((predicted == c) | (target == c)).sum() for c in (0, 1)]
        loss = lovasz_softmax(from_classes(predicted, 2), target)
        torch.testing.assert_close(loss, 1 - torch.stack(iou).mean(), atol=1e-6, rtol=0)


def test_a_case_by_hand() -> None:
    """Errors 0.6 (not of the class), 0.3 (of it): 0.6 * 1/2 + 0.3 * (1 - 1/2) for a class of one pixel."""
    probability = torch.tensor([0.7, 0.6])
    logits = torch.stack([probability, 1 - probability]).log()[None, :, None]
    target = torch.tensor([[[0, 255]]])
    torch.testing.assert_close(lovasz_softmax(logits, target), torch.tensor(0.3))
    target = torch.tensor([[[0, 1]]])
    # class 1: errors 0.6 (of it), 0.3 (not): 0.6 * 1 + 0.3 * 0
    torch.testing.assert_close(lovasz_softmax(logits, target), torch.tensor((0.45 + 0.6) / 2))


def test_perfect_is_zero_and_shifted_is_not() -> None:
    target = (uniform(1, 2, 8, 8) * 5).long()
    assert lovasz_softmax(from_classes(target, 5), target).item() == pytest.approx(0, abs=1e-6)
    assert lovasz_softmax(from_classes(target.roll(1, 2), 5), target) > 0.5


def test_ignored_pixels_and_absent_classes_do_not_count() -> None:
    logits, target = example()
    changed = torch.where((target == 255)[:, None], logits.flip(1) * 7, logits)
    assert lovasz_softmax(changed, target) == lovasz_softmax(logits, target)
    nearly_perfect = from_classes(torch.zeros(1, 4, 4, dtype=torch.int64), 3)
    assert lovasz_softmax(nearly_perfect, torch.zeros(1, 4, 4, dtype=torch.int64)).item() == pytest.approx(0)


@pytest.mark.parametrize("ignored", [True, False])
def test_gradients_are_finite(ignored: bool) -> None:
    """Everything ignored, or every pixel of one class, where the union never grows."""
    logits = normal(1, 2, 3, 4, 4).requires_grad_(True)
    loss = lovasz_softmax(logits, torch.full((2, 4, 4), 255 if ignored else 1))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (loss == 0) == ignored
    assert torch.equal(logits.grad, torch.zeros_like(logits)) == ignored


def test_descending_the_gradient_lowers_the_loss() -> None:
    logits, target = normal(5, 1, 4, 8, 8), (uniform(6, 1, 8, 8) * 4).long()
    losses = []
    for _ in range(20):
        logits.requires_grad_(True)
        loss = lovasz_softmax(logits, target)
        (gradient,) = torch.autograd.grad(loss, logits)
        losses.append(loss.item())
        logits = (logits - 100 * gradient).detach()
    assert losses[-1] < 0.5 * losses[0]


def test_mixed_precision_computes_in_float32() -> None:
    logits, target = example()
    logits.requires_grad_(True)
    exact = lovasz_softmax(logits, target)
    (gradient,) = torch.autograd.grad(exact, logits)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = lovasz_softmax(logits, target)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact, rtol=1e-6, atol=0)
    torch.testing.assert_close(torch.autograd.grad(mixed, logits)[0], gradient, rtol=1e-6, atol=0)
