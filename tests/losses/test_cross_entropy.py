from __future__ import annotations

import importlib
import math

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from diffperc.layers.reduce import global_sums
from diffperc.losses.cross_entropy import cross_entropy


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def example() -> tuple[Tensor, Tensor]:
    target = (uniform(62, 2, 32, 32) * 150).long()
    target[uniform(63, 2, 32, 32) < 0.1] = 255
    return normal(61, 2, 150, 32, 32) * 2, target


def test_equals_mmsegmentations_loss_and_gradient() -> None:
    """Numbers from running mmsegmentation 0.30 on the same input."""
    logits, target = example()
    logits.requires_grad_(True)
    loss = cross_entropy(logits, target)
    loss.backward()
    assert logits.grad is not None
    assert loss.item() == pytest.approx(6.242618560791016, rel=1e-6)
    assert logits.grad.double().norm().item() == pytest.approx(0.021932154361455385, rel=1e-6)
    assert cross_entropy(*example(), average="counted").item() == pytest.approx(6.895837783813477, rel=1e-6)


def test_equals_the_authors_weighted_loss_for_referring() -> None:
    """Numbers from running the released criterion on the same input."""
    logits = normal(51, 2, 2, 32, 32).requires_grad_(True)
    target = (uniform(52, 2, 32, 32) < 0.3).long()
    loss = cross_entropy(logits, target, class_weights=(0.9, 1.1), average="counted")
    loss.backward()
    assert logits.grad is not None
    assert loss.item() == pytest.approx(0.9279714226722717, rel=1e-6)
    assert logits.grad.double().norm().item() == pytest.approx(0.017947650881650595, rel=1e-6)


def test_a_case_by_hand() -> None:
    """Four pixels, equal logits: log 2 each; one ignored; weights 1 and 3 on two and one of the others."""
    logits = torch.zeros(1, 2, 2, 2)
    target = torch.tensor([[[0, 0], [1, 255]]])
    assert cross_entropy(logits, target).item() == pytest.approx(math.log(2) * 3 / 4)
    assert cross_entropy(logits, target, average="counted").item() == pytest.approx(math.log(2))
    assert cross_entropy(logits, target, class_weights=(1, 3)).item() == pytest.approx(math.log(2) * 5 / 4)
    # small weights, whose sum is below one, divide too
    weights = (0.1, 0.1)
    assert cross_entropy(logits, target, 255, weights, "counted").item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("average", ["all", "counted"])
@pytest.mark.parametrize("class_weights", [None, (1.0, 2.0, 3.0)])
def test_everything_ignored_gives_zero_and_zero_gradient(average: str, class_weights: tuple[float, ...] | None) -> None:
    logits = normal(1, 2, 3, 4, 4).requires_grad_(True)
    loss = cross_entropy(logits, torch.full((2, 4, 4), 255), 255, class_weights, average)  # type: ignore[arg-type]
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_ignored_pixels_do_not_count_whatever_is_predicted_there() -> None:
    logits, target = example()
    changed = torch.where((target == 255)[:, None], logits.flip(1) * 7, logits)
    assert cross_entropy(changed, target) == cross_entropy(logits, target)


def test_half_precision_is_summed_in_single() -> None:
    logits, target = normal(1, 4, 2, 128, 128), torch.zeros(4, 128, 128, dtype=torch.int64)
    assert cross_entropy(logits.half(), target).item() == pytest.approx(cross_entropy(logits, target).item(), rel=1e-3)


def test_mixed_precision_computes_in_float32() -> None:
    logits, target = example()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = cross_entropy(logits, target)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, cross_entropy(logits, target), rtol=1e-6, atol=0)


@pytest.mark.parametrize("average", ["all", "counted"])
def test_two_processes_give_the_loss_of_one_with_both_batches(average: str, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, target = example()
    target[0, :20] = 255  # so that the means of the two differ in their counts
    whole = cross_entropy(logits, target, average=average)  # type: ignore[arg-type]
    # the package exports the function under the name of its module
    module = importlib.import_module("diffperc.losses.cross_entropy")
    sums: list[Tensor] = []
    monkeypatch.setattr(module, "global_sums", lambda s: sums.append(s) or s)
    cross_entropy(logits[1:], target[1:], average=average)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "global_sums", lambda s: s + sums[0])
    first = cross_entropy(logits[:1], target[:1], average=average)  # type: ignore[arg-type]
    torch.testing.assert_close(first, whole)


def test_sums_of_one_process_are_themselves() -> None:
    sums = torch.rand(3)
    assert global_sums(sums) is sums


def test_sums_of_two_processes_and_their_gradients_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a second process that holds the same: every sum and every gradient arrives twice."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: tensor.mul_(2))
    sums = torch.tensor([1.0, 3.0], requires_grad=True)
    total = global_sums(sums)
    (total[0] / total[1]).backward()
    assert total.tolist() == [2, 6]
    assert sums.tolist() == [1, 3]
    assert sums.grad is not None
    # d(a / b) = (1 / b, -a / b^2) at (2, 6), from each of the two losses
    torch.testing.assert_close(sums.grad, 2 * torch.tensor([1 / 6, -2 / 36]))


def test_wrong_inputs_are_named() -> None:
    logits = torch.zeros(1, 3, 4, 4)
    with pytest.raises(ValueError, match=r"target must be \(B, H, W\) with B=1, H=4, W=4, got \(1, 2, 2\)"):
        cross_entropy(logits, torch.zeros(1, 2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"target must be torch\.int64, got torch\.float32"):
        cross_entropy(logits, torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="class_weights must be one per class: 3, got 2"):
        cross_entropy(logits, torch.zeros(1, 4, 4, dtype=torch.int64), class_weights=(1, 2))
