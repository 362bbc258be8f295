from __future__ import annotations

import pytest
from torch import nn

from diffperc.tasks import AdamW, PowerOneCycle, Rule

SCHEDULE = PowerOneCycle(min_lr=3e-5, warmup=0.48, power=0.9)


def published(step: int, per_epoch: int) -> float:
    """The rule of methods.md 1.3 with 25 epochs: up for 12 of them, then down."""
    low, high, half = 3e-5, 5e-4, 25 // 2
    if step < per_epoch * half:
        return (high - low) * (step / per_epoch / half) ** 0.9 + low
    return max(low, (low - high) * (step / per_epoch / half - 1) ** 0.9 + high)


def test_the_curve_is_the_published_one() -> None:
    per_epoch = 1009
    for step in (0, 1, 500, 6000, 12 * per_epoch, 15000, 24 * per_epoch - 1, 24 * per_epoch, 25 * per_epoch - 1):
        found = SCHEDULE.factor(step, 25 * per_epoch, 5e-4) * 5e-4
        assert found == pytest.approx(published(step, per_epoch), rel=1e-9)
    assert SCHEDULE.factor(12 * per_epoch, 25 * per_epoch, 5e-4) == pytest.approx(1)
    assert SCHEDULE.factor(25 * per_epoch, 25 * per_epoch, 5e-4) == pytest.approx(3e-5 / 5e-4)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unet = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
        self.head = nn.Linear(2, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def test_the_first_rule_that_matches_counts_and_frozen_parameters_are_left_out() -> None:
    model = nn.ModuleDict({"backbone": Net()})
    rules = [Rule(r"\.unet\.", 0.01, 0.0, max_ndim=1), Rule(r"\.unet\.", 0.01), Rule(weight_decay=0.0, max_ndim=1)]
    groups = AdamW(1e-3, 0.1, SCHEDULE, rules).groups(model.named_parameters())
    net = model["backbone"]
    expected = {
        (1e-5, 0.1): [net.unet[0].weight],
        (1e-5, 0.0): [net.unet[0].bias, net.unet[1].weight, net.unet[1].bias],
        (1e-3, 0.1): [net.head.weight],
        (1e-3, 0.0): [net.head.bias],
    }
    found = {(g["lr"], g["weight_decay"]): g["params"] for g in groups}
    assert found.keys() == expected.keys()
    for key, parameters in expected.items():
        assert [id(p) for p in found[key]] == [id(p) for p in parameters]


def test_the_schedule_scales_every_group() -> None:
    layer = nn.Linear(2, 2)
    optimizer, schedule = AdamW(1e-3, 0.1, SCHEDULE, [Rule("bias", lr=0.1)]).build(layer.named_parameters(), 100)
    for _ in range(10):
        optimizer.step()
        schedule.step()
    factor = SCHEDULE.factor(10, 100, 1e-3)
    assert sorted(schedule.get_last_lr()) == pytest.approx([1e-4 * factor, 1e-3 * factor])
