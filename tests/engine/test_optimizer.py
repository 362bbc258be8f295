from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from diffperc.backbones import StableDiffusionBackbone
from diffperc.config.validate import validate
from diffperc.engine import OptimizerRecipe, Poly, PowerOneCycle, Rule
from diffperc.weights.ldm_names import rename, unet_modules
from tests.helpers import composed

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
    groups = OptimizerRecipe(1e-3, 0.1, SCHEDULE, rules).groups(model.named_parameters())
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
    optimizer, schedule = OptimizerRecipe(1e-3, 0.1, SCHEDULE, [Rule("bias", lr=0.1)]).build(
        layer.named_parameters(), 100
    )
    for _ in range(10):
        optimizer.step()
        schedule.step()
    factor = SCHEDULE.factor(10, 100, 1e-3)
    assert sorted(schedule.get_last_lr()) == pytest.approx([1e-4 * factor, 1e-3 * factor])


def released(name: str, keys: dict[str, tuple[float, float]], lr: float, decay: float) -> tuple[float, float]:
    """mmcv's rule: of the keys that occur in a name the longest counts, of equally long ones the first (methods.md 1.1)."""
    for key in sorted(sorted(keys), key=len, reverse=True):
        if key in name:
            return lr * keys[key][0], decay * keys[key][1]
    return lr, decay


@pytest.mark.parametrize(
    ("task", "choice", "keys"),
    [
        ("segmentation", "adamw", {"unet": (0.1, 1), "encoder_vq": (0, 1), "text_encoder": (0, 1), "norm": (1, 0)}),
        # nothing reads the multipliers; what has "norm" in its name is put among those that do not decay
        ("referring", "adamw", {"norm": (1, 0)}),
        # what was meant
        ("segmentation", "nominal", {"unet": (0.1, 1)}),
        ("referring", "nominal", {"unet": (0.01, 1)}),
    ],
)
def test_the_groups_are_those_of_the_released_code_by_the_original_names(
    task: str, choice: str, keys: dict[str, tuple[float, float]], backbone: StableDiffusionBackbone
) -> None:
    cfg = composed(f"task={task}", f"optimizer={choice}", "backbone=sd15")
    recipe = instantiate(cfg.optimizer, _convert_="all")
    names = {ours: name for name, ours in unet_modules(backbone.architecture["unet"]).items()}
    original = {v: k for k, v in rename({k: k for k, _ in backbone.unet.named_parameters()}, names).items()}
    model = nn.ModuleDict({"backbone": backbone, "head": nn.Linear(2, 2)})
    backbone.requires_grad_(True)
    groups = recipe.groups((f"model.{n}", p) for n, p in model.named_parameters() if ".vae." not in n)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    seen = set()
    for name, parameter in backbone.unet.named_parameters():
        theirs = "unet.unet.diffusion_model." + original[name]
        lr, decay = released(theirs, keys, recipe.lr, recipe.weight_decay)
        if choice == "nominal" and "norm" in theirs:
            decay = 0.0
        assert found[id(parameter)] == pytest.approx((lr, decay)), name
        seen.add((lr, decay))
    assert len(seen) == 2
    assert all(found[id(p)] == (recipe.lr, recipe.weight_decay) for p in model["head"].parameters())


def test_warm_up_and_decay_of_segmentation() -> None:
    """80k steps, 1500 of them on the way up from a millionth, then in a straight line to nothing (methods.md 1.1)."""
    schedule = Poly(power=1.0, warmup_steps=1500, warmup_ratio=1e-6)
    assert schedule.factor(0, 80000, 8e-5) == pytest.approx(1e-6)
    assert schedule.factor(750, 80000, 8e-5) == pytest.approx((1 - 750 / 80000) * (1 - 0.5 * (1 - 1e-6)))
    assert schedule.factor(1500, 80000, 8e-5) == pytest.approx(1 - 1500 / 80000)
    assert schedule.factor(80000, 80000, 8e-5) == 0


def stepped(*overrides: str) -> tuple[nn.ModuleDict, Any, Any]:
    """A small network, its configured optimiser and schedule, after one step of both."""
    model = nn.ModuleDict({"backbone": Net()})
    recipe = instantiate(composed(*overrides).optimizer, _convert_="all")
    optimizer, schedule = recipe.build(model.named_parameters(), 10)
    net = model["backbone"]
    net.head(net.unet(torch.ones(3, 2))).sum().backward()
    optimizer.step()
    schedule.step()
    return model, optimizer, schedule


def test_any_optimiser_of_torch_takes_a_step_with_the_recipes_groups() -> None:
    sgd = ("optimizer.optimizer._target_=torch.optim.SGD", "+optimizer.optimizer.momentum=0.9")
    cfg = composed(*sgd)
    validate(cfg)
    model, optimizer, _ = stepped(*sgd)
    assert type(optimizer) is torch.optim.SGD
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}
    rates = sorted({group["initial_lr"] for group in optimizer.param_groups})
    assert rates == pytest.approx([cfg.recipe.lr * cfg.recipe.unet_lr, cfg.recipe.lr])
    bias = model["backbone"].head.bias
    torch.testing.assert_close(optimizer.state[bias]["momentum_buffer"], bias.grad)


def test_any_scheduler_of_torch_is_called_with_the_optimiser() -> None:
    step = "optimizer.schedule={_target_:torch.optim.lr_scheduler.StepLR,_partial_:true,step_size:1,gamma:0.5}"
    validate(composed(step))
    _, optimizer, schedule = stepped(step)
    assert type(schedule) is torch.optim.lr_scheduler.StepLR
    for group in optimizer.param_groups:
        assert group["lr"] == pytest.approx(0.5 * group["initial_lr"])


def test_groups_have_names_of_their_own() -> None:
    """Under which their learning rates are logged."""
    _, optimizer, _ = stepped()
    groups = [group["name"] for group in optimizer.param_groups]
    assert len(groups) == 4
    assert len(set(groups)) == 4


def losses_of_50_steps(fused: bool) -> list[float]:
    """Of a small network that learns a fixed mapping."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 4))
    image, truth = torch.randn(32, 8), torch.randn(32, 4)
    optimizer, schedule = OptimizerRecipe(1e-2, 0.1, SCHEDULE, [Rule("bias", lr=0.1, weight_decay=0.0)]).build(
        net.named_parameters(), 50, fused
    )
    assert optimizer.defaults["fused"] is (True if fused else None)
    losses = []
    for _ in range(50):
        loss = (net(image) - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def test_the_fused_optimiser_takes_the_same_steps() -> None:
    plain = losses_of_50_steps(fused=False)
    assert plain[-1] < 0.5 * plain[0]
    assert losses_of_50_steps(fused=True) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("given", [{"foreach": True}, {"fused": False}])
def test_a_configured_kernel_of_the_optimiser_is_kept(given: dict[str, bool]) -> None:
    recipe = OptimizerRecipe(1e-2, 0.1, SCHEDULE, optimizer=functools.partial(torch.optim.AdamW, **given))
    optimizer, _ = recipe.build(nn.Linear(2, 2).named_parameters(), 50)
    assert not optimizer.defaults["fused"]
