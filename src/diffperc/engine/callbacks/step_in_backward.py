"""An optimiser that needs no memory for gradients."""

from __future__ import annotations

from typing import Any

import lightning as L
from torch import nn
from torch.optim import Optimizer

from diffperc.errors import ConfigError


class StepInBackward(L.Callback):
    """Updates each weight as soon as its gradient is complete, and releases the gradient: no memory for all of them.

    The updates are the same as after the backward pass. Whatever needs all gradients at one time is refused.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Register the updates.

        Raises:
            ConfigError: gradients are accumulated, clipped, scaled or shared by processes.
        """
        (optimizer,) = trainer.optimizers
        groups = optimizer.param_groups
        for problem, is_so in {
            "trainer.accumulate_grad_batches": trainer.accumulate_grad_batches > 1,
            "trainer.gradient_clip_val": trainer.gradient_clip_val is not None,
            "trainer.precision=16-mixed": str(trainer.precision) == "16-mixed",
            "more than one process": trainer.world_size > 1,
            # it counts the steps of groups, not of weights
            "optimizer=adamw_bf16": "gradient_release" in optimizer.defaults,
        }.items():
            if is_so:
                raise ConfigError(
                    "step_in_backward=true: updates weights before all gradients are known, so it does not go with "
                    f"{problem}."
                )
        for index, group in enumerate(groups):
            for parameter in group["params"]:
                parameter.register_post_accumulate_grad_hook(_Update(optimizer, index))


class _Update:
    """Takes the optimiser's step for one parameter alone."""

    def __init__(self, optimizer: Optimizer, group: int) -> None:
        self.optimizer, self.group = optimizer, group

    def __call__(self, parameter: nn.Parameter) -> None:
        groups: list[dict[str, Any]] = self.optimizer.param_groups
        # with the learning rate of this step
        self.optimizer.param_groups = [{**groups[self.group], "params": [parameter]}]
        try:
            # without the schedule's counter of steps, which stands around it
            type(self.optimizer).step(self.optimizer)
        finally:
            self.optimizer.param_groups = groups
        parameter.grad = None
