from __future__ import annotations

import torch

from diffperc.losses import silog_loss


def uniform(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def example() -> tuple[torch.Tensor, torch.Tensor]:
    prediction, truth = uniform(11, 2, 48, 64) * 9.9 + 0.1, uniform(12, 2, 48, 64) * 10
    truth[uniform(13, 2, 48, 64) < 0.3] = 0
    return prediction[:, None], truth[:, None]


def test_equals_the_authors_loss_and_gradient() -> None:
    """Numbers from running the released criterion on the same input."""
    prediction, truth = example()
    prediction.requires_grad_(True)
    loss = silog_loss(prediction, truth)
    loss.backward()
    assert prediction.grad is not None
    torch.testing.assert_close(loss.item(), 1.3370119333267212, rtol=1e-6, atol=0)
    torch.testing.assert_close(prediction.grad.norm().item(), 0.035757574381811215, rtol=1e-4, atol=0)
    torch.testing.assert_close(
        silog_loss(*example(), variance_focus=0.85).item(), 1.3364841938018799, rtol=1e-6, atol=0
    )
    double = silog_loss(*(t.double() for t in example()))
    torch.testing.assert_close(double.item(), 1.3370118830742659, rtol=1e-9, atol=0)


def test_no_measured_pixel_gives_zero_and_zero_gradient() -> None:
    prediction = torch.rand(2, 1, 4, 4, requires_grad=True)
    loss = silog_loss(prediction, torch.zeros(2, 1, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert prediction.grad is not None
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_a_perfect_prediction_has_a_finite_gradient() -> None:
    truth = torch.rand(2, 1, 4, 4) + 1
    prediction = truth.clone().requires_grad_(True)
    loss = silog_loss(prediction, truth)
    loss.backward()
    assert loss.item() < 1e-5
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()


def test_scale_costs_only_half_of_its_square() -> None:
    """A constant factor k gives sqrt(log(k)^2 / 2)."""
    truth = torch.rand(2, 1, 8, 8) + 1
    loss = silog_loss(truth * 2, truth)
    torch.testing.assert_close(loss, (torch.tensor(2.0).log() ** 2 / 2).sqrt())


def test_unmeasured_pixels_do_not_count_whatever_is_predicted_there() -> None:
    prediction, truth = example()
    changed = torch.where(truth > 0, prediction, torch.full_like(prediction, torch.nan))
    assert silog_loss(changed, truth) == silog_loss(prediction, truth)


def test_mixed_precision_computes_in_float32() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        mixed = silog_loss(*example())
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, silog_loss(*example()), rtol=1e-6, atol=0)


def test_depth_beyond_the_largest_does_not_count() -> None:
    """A fifth of the pixels at 50 m, which a network of 10 m cannot express, must not pull the others."""
    truth = torch.full((1, 1, 1, 10), 2.0)
    truth[..., :2] = 50.0
    prediction = torch.full_like(truth, 2.0)
    assert silog_loss(prediction, truth, max_depth=10.0) == 0
    assert silog_loss(prediction, truth) > 0.5
    truth[..., :2] = 10.0  # the bound itself is outside, as in the metrics
    assert silog_loss(prediction, truth, max_depth=10.0) == 0
