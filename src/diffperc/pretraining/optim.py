"""The optimiser of all stages."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import lightning as L
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def adamw_cosine(module: L.LightningModule, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> Any:
    """AdamW whose rate rises over the first twentieth of all steps and falls to a hundredth along a cosine."""
    optimizer = AdamW(parameters, lr=lr, weight_decay=weight_decay, betas=(0.9, 0.99))
    total = int(module.trainer.estimated_stepping_batches)
    warmup = max(1, total // 20)

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, total - warmup))
        return 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2

    # a function of the step alone: a run that goes on with more steps follows the longer curve
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, share), "interval": "step"}}
