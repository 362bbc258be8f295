"""Optimiser and schedule of a recipe: ordered rules for parameter groups, one learning-rate curve for all."""

from __future__ import annotations

import functools
import inspect
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from diffperc.errors import ConfigError
from diffperc.ranges import Power, Range, Share, WholeNumber

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """Which parameters get a different learning rate or weight decay. The first rule that matches applies.

    Attributes:
        pattern: regular expression searched in the parameter's name, such as ``\\.unet\\.``.
        lr: multiplier of the recipe's learning rate.
        weight_decay: None takes the recipe's.
        max_ndim: matches only tensors of at most this many axes (1: biases, norms, gains); None matches all.
    """

    pattern: str = ""
    lr: Annotated[float, Range(0, 1000)] = 1.0
    weight_decay: Annotated[float, Range(0, 100)] | None = None
    max_ndim: WholeNumber | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ConfigError(f"recipe.rules: '{self.pattern}' is no regular expression ({error}).") from error

    def matches(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether the rule applies to this parameter."""
        if self.max_ndim is not None and parameter.ndim > self.max_ndim:
            return False
        return re.search(self.pattern, name) is not None


@dataclass(frozen=True)
class PowerOneCycle:
    """From `min_lr` up to the recipe's learning rate and down again, both to the power `power` (methods.md 1.3).

    At step g, with u = warmup * total steps: (max - min) * (g / u)^power + min while g < u, then
    max(min, max - (max - min) * (g / u - 1)^power).

    Attributes:
        min_lr: absolute, for a group with multiplier 1.
        warmup: fraction of all steps in which the rate rises; 12 of 25 epochs as published.
        power: 0.9 as published.
    """

    min_lr: Annotated[float, Range(0, 100)]
    warmup: Share = 0.48
    power: Power = 0.9

    def factor(self, step: int, total: int, max_lr: float) -> float:
        """Learning rate at a step, as a fraction of `max_lr`."""
        up = max(1.0, self.warmup * total)
        if step < up:
            lr = (max_lr - self.min_lr) * (step / up) ** self.power + self.min_lr
        else:
            lr = max(self.min_lr, (self.min_lr - max_lr) * (step / up - 1) ** self.power + max_lr)
        return lr / max_lr


@dataclass(frozen=True)
class Poly:
    """The recipe's learning rate times ``(1 - g / total)^power``, with a linear warm-up (methods.md 1.1, 1.2).

    Attributes:
        min_lr: absolute, for a group with multiplier 1.
        power: 1 for segmentation, 0.9 for referring, as published.
        warmup_steps: optimiser steps of the warm-up.
        warmup_ratio: the first step's rate, as a fraction of the rate without warm-up.
    """

    min_lr: Annotated[float, Range(0, 100)] = 0.0
    power: Power = 1.0
    warmup_steps: WholeNumber = 0
    warmup_ratio: Share = 1e-6

    def factor(self, step: int, total: int, max_lr: float) -> float:
        """Learning rate at a step, as a fraction of `max_lr`."""
        low = self.min_lr / max_lr
        factor = (1 - low) * max(0.0, 1 - step / total) ** self.power + low
        if step < self.warmup_steps:
            factor *= 1 - (1 - step / self.warmup_steps) * (1 - self.warmup_ratio)
        return factor


class OptimizerRecipe:
    """An optimiser with parameter groups, and its schedule.

    Args:
        lr: the largest learning rate of a group with multiplier 1.
        weight_decay: for parameters to which no rule assigns a different one.
        schedule: the curve of the learning rate: `PowerOneCycle`, `Poly`, or a scheduler of torch that is called with the
            optimiser (``_partial_: true`` in a configuration).
        rules: in order, first match wins.
        optimizer: called with parameter groups and ``lr``, such as ``functools.partial(torch.optim.SGD, momentum=0.9)``.
    """

    def __init__(
        self,
        lr: Annotated[float, Range(0, 100, above=True)],
        weight_decay: Annotated[float, Range(0, 100)],
        schedule: Any,
        rules: Sequence[Rule] = (),
        optimizer: Callable[..., Optimizer] = torch.optim.AdamW,
    ) -> None:
        if not callable(schedule) and not isinstance(schedule, PowerOneCycle | Poly):
            raise ConfigError(
                f"optimizer.schedule: must be an object with a _target_, found {schedule!r}; single numbers of it are set "
                "by recipe.schedule.min_lr=... and the like."
            )
        self.lr, self.weight_decay, self.schedule = lr, weight_decay, schedule
        self.rules, self.optimizer = tuple(rules), optimizer

    def groups(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> list[dict[str, Any]]:
        """One group per pair of learning rate and weight decay that occurs; frozen parameters are left out.

        Each group has a name, under which its learning rate is logged.
        """
        groups: dict[tuple[float, float], dict[str, Any]] = {}
        for name, parameter in parameters:
            if not parameter.requires_grad:
                continue
            lr, decay = self._lr_and_decay(name, parameter)
            empty = {"params": [], "lr": lr, "weight_decay": decay, "name": f"lr {lr:g} decay {decay:g}"}
            groups.setdefault((lr, decay), empty)["params"].append(parameter)
        return list(groups.values())

    def unmatched(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> list[Rule]:
        """The rules that match no parameter at all, frozen ones included; a pattern may be misspelt."""
        named = list(parameters)
        return [rule for rule in self.rules if not any(rule.matches(*one) for one in named)]

    def _lr_and_decay(self, name: str, parameter: nn.Parameter) -> tuple[float, float]:
        """Learning rate and weight decay of a parameter, by the first rule that matches."""
        for rule in self.rules:
            if rule.matches(name, parameter):
                decay = self.weight_decay if rule.weight_decay is None else rule.weight_decay
                return self.lr * rule.lr, decay
        return self.lr, self.weight_decay

    def build(
        self, parameters: Iterable[tuple[str, nn.Parameter]], total_steps: int, fused: bool = True
    ) -> tuple[Optimizer, Any]:
        """The optimiser and its schedule over `total_steps` optimiser steps.

        Args:
            parameters: named, on the device of training.
            total_steps: of the schedule.
            fused: let an optimiser that can update all parameters in one kernel do so: the same update, much faster.
        """
        named = list(parameters)
        for rule in self.unmatched(named):
            log.warning("recipe.rules: no parameter's name matches '%s'; the rule is without effect.", rule.pattern)
        try:
            optimizer = self.optimizer(self.groups(named), lr=self.lr, **self._fused(named, fused))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"optimizer.optimizer: cannot be made ({error}).") from error
        if not isinstance(self.schedule, PowerOneCycle | Poly):
            return optimizer, self.schedule(optimizer)
        curve = self.schedule
        return optimizer, LambdaLR(optimizer, lambda step: curve.factor(step, total_steps, self.lr))

    def _fused(self, named: Sequence[tuple[str, nn.Parameter]], wanted: bool) -> dict[str, bool]:
        """``fused=True`` where the optimiser has it, and nothing else was configured."""
        chosen = self.optimizer.keywords if isinstance(self.optimizer, functools.partial) else {}
        known = inspect.signature(self.optimizer).parameters
        has_kernels = {p.device.type for _, p in named if p.requires_grad} <= {"cpu", "cuda"}
        if wanted and has_kernels and "fused" in known and not {"fused", "foreach"} & chosen.keys():
            return {"fused": True}
        return {}
