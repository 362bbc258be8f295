"""Batch normalisation that gives the same result in one process and in several."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffperc.errors import ConfigError
from diffperc.layers.reduce import global_sums, is_distributed


class BatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` whose training statistics cover all processes of a distributed run.

    The published recipes use synchronised statistics (methods.md 1.1, 1.2). torch's `SyncBatchNorm` refuses CPU tensors,
    so without this class a run over two CPU processes would silently train another model than one process with the same
    global batch. Input and output: (B, C, H, W).

    Raises:
        ConfigError: in training, for one number per channel, which has no variance.
    """

    # always set, with the options used here
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and is_distributed()):
            if self.training and input.numel() == input.shape[1]:
                raise ConfigError(
                    "a batch of one image gives a batch norm of this head one number per channel to normalise; take two "
                    "images or more per batch (images_at_once, recipe.batch_size), or another head."
                )
            return super().forward(input)
        # one reduction of (count, sum, sum of squares), at least in float32, because the input may be in half precision
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        count = x.new_full((1,), float(x.numel() // x.shape[1]))
        local = torch.cat([count, x.sum((0, 2, 3)), (x * x).sum((0, 2, 3))])
        total = global_sums(local)
        n, mean = total[0], total[1 : 1 + self.num_features] / total[0]
        var = (total[1 + self.num_features :] / n - mean * mean).clamp_min(0)
        self._update_running(mean.detach(), (var * n / (n - 1)).detach())
        scale = self.weight * torch.rsqrt(var + self.eps)
        out = x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]
        return out.to(input.dtype)

    def _update_running(self, mean: Tensor, unbiased_var: Tensor) -> None:
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased_var, self.momentum)
        self.num_batches_tracked.add_(1)
