"""Dropout that gives the same result in one process and in several."""

from __future__ import annotations

from torch import Tensor, nn

from diffperc.layers.reduce import process_of


class Dropout2d(nn.Dropout2d):
    """`torch.nn.Dropout2d` whose masks are drawn for the batches of all processes together.

    Training seeds every process alike before each batch, and sample i of process r is sample i * processes + r of the
    whole batch (`diffperc.data.SeededSampler`). Each process keeps the masks of its own samples, so that a sample loses the
    same channels however many processes share the work. Input and output: (B, C, H, W).
    """

    def forward(self, input: Tensor) -> Tensor:
        rank, processes = process_of()
        if not self.training or processes == 1:
            return super().forward(input)
        whole = input.new_ones((len(input) * processes, input.shape[1], 1, 1))
        return input * super().forward(whole)[rank::processes]
