"""Order and randomness of samples: a function of seed and epoch alone, whatever the number of processes or workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler


@dataclass(frozen=True, slots=True)
class Draw:
    """Which sample, and the seed of its augmentation."""

    index: int
    seed: int


class SeededSampler(Sampler[Draw]):
    """Every `world`-th draw of one global order.

    With equal global batch size, one process and many see the same images with the same augmentation in every step.

    Args:
        length: of the data set.
        seed: of order and augmentation.
        shuffle: a new order in every epoch. Without it (evaluation) no sample is repeated to fill up a process.
        rank, world: this process and their number.
    """

    def __init__(self, length: int, seed: int, shuffle: bool, rank: int = 0, world: int = 1) -> None:
        self.length, self.seed, self.shuffle, self.rank, self.world = length, seed, shuffle, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Draw]:
        if not self.shuffle:
            yield from (Draw(i, i) for i in range(self.rank, self.length, self.world))
            return
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.length, generator=generator)
        seeds = torch.randint(2**31 - 1, (self.length,), generator=generator)
        for i in range(self.rank, len(self) * self.world, self.world):
            yield Draw(int(order[i]), int(seeds[i]))

    def __len__(self) -> int:
        if self.shuffle:
            return self.length // self.world
        return len(range(self.rank, self.length, self.world))
