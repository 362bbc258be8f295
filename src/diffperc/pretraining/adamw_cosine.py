"""AdamW with a warmed-up cosine schedule, the optimizer of every stage."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import lightning as L
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def adamw_cosine(module: L.LightningModule, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> Any:
    """AdamW whose rate rises over the first twentieth of all steps and falls to a hundredth along a cosine.

    Args:
        module: whose trainer gives the number of steps.
        parameters: that are trained.
        lr: peak learning rate.
        weight_decay: of all parameters.

    Returns:
        What `LightningModule.configure_optimizers` returns.
    """
    # Lightning refuses to clip gradients of a fused optimiser in mixed precision
    fused = not str(module.trainer.precision).endswith("-mixed")
    optimizer = AdamW(parameters, lr=lr, weight_decay=weight_decay, betas=(0.9, 0.99), fused=fused)
    total = int(module.trainer.estimated_stepping_batches)
    warmup = max(1, total // 20)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, total - warmup))
        return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2

    # a function of the step alone: a run that resumes with more steps follows the longer curve
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}
