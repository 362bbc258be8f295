"""Order and randomness of samples: functions of seed, epoch and position, whatever the number of processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler


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
        rank: number of this process.
        world: how many processes there are.
        multiple: an epoch of shuffled samples ends with its last whole group of this many, such as those of one optimiser
            step; what is left over differs in every epoch.
        views: different seeds of an image, which follow each other from epoch to epoch; None: a new one in every epoch.

    Attributes:
        epoch: of which the next iteration is.
        position: the number of samples of that epoch, over all processes, before which the next iteration begins.
    """

    def __init__(
        self,
        length: int,
        seed: int,
        shuffle: bool,
        rank: int = 0,
        world: int = 1,
        multiple: int = 1,
        views: int | None = None,
    ) -> None:
        self.length, self.seed, self.shuffle, self.rank, self.world = length, seed, shuffle, rank, world
        self.multiple, self.views = multiple, views
        self.epoch = self.position = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch. Another epoch begins at its start; the same one keeps its position."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def __iter__(self) -> Iterator[Draw]:
        if not self.shuffle:
            yield from (Draw(i, i) for i in range(self.rank, self.length, self.world))
            return
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.length, generator=generator)
        seeds = torch.randint(2**31 - 1, (self.length,), generator=generator)
        if self.views is not None:
            view = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch % self.views)
            seeds = torch.randint(2**31 - 1, (self.length,), generator=view)[order]
        for i in range(self.position + self.rank, len(self) * self.world, self.world):
            yield Draw(int(order[i]), int(seeds[i]))

    def __len__(self) -> int:
        """Samples of a whole epoch, of this process."""
        if self.shuffle:
            return self.length // self.multiple * self.multiple // self.world
        return len(range(self.rank, self.length, self.world))


class ResumableLoader(DataLoader[Any]):
    """A `DataLoader` over a `SeededSampler` that can begin in the middle of an epoch, with any number of processes.

    Its state is the number of samples that it has handed out, not of those that its workers have read in advance.
    """

    _begun = _handed_out = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # a generator: workers start with the first batch, when the sampler knows its epoch and position
        sampler: Any = self.sampler
        self._begun, self._handed_out = getattr(sampler, "position", 0), 0
        for batch in super().__iter__():
            if not self._handed_out and isinstance(sampler, SeededSampler):
                sampler.position = 0  # of a further iteration
            self._handed_out += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """``epoch``, and ``position``: the number of its samples, over all processes, that have been handed out."""
        sampler: Any = self.sampler
        if not isinstance(sampler, SeededSampler):  # Lightning's, for overfit_batches
            return {}
        position = self._begun + self._handed_out * (self.batch_size or 1) * sampler.world
        return {"epoch": sampler.epoch, "position": position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration begin where the state was taken."""
        sampler: Any = self.sampler
        if isinstance(sampler, SeededSampler) and state:
            sampler.epoch, sampler.position = state["epoch"], state["position"]
            self._begun, self._handed_out = state["position"], 0
