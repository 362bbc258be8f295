"""The data loaders, built once the number of processes is known."""

from __future__ import annotations

import os
import signal
from typing import Any

import cv2
import lightning as L
import numpy as np
from lightning.pytorch.accelerators import CUDAAccelerator
from torch.utils.data import DataLoader

from diffperc.data import Draw, PerceptionDataset, PreparedDataset, ResumableLoader, SeededSampler, collate
from diffperc.errors import ConfigError
from diffperc.preprocessing import Preprocess
from diffperc.types import Protocol, Target

_SECONDS_AFTER_SIGTERM = 20
_MOST_WORKERS = 8


def loader_processes(wanted: int | str, processes: int = 1) -> int:
    """The number of loader processes: as wanted, or with ``auto`` one per core that is left, at least 1 and at most 8.

    Args:
        wanted: a number, or ``auto``.
        processes: of the training that share the cores of this machine.
    """
    if wanted != "auto":
        return int(wanted)
    # of this process: a container or a scheduler may allow fewer than there are
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(1, cores // processes - 1), _MOST_WORKERS)


def start_worker(_: int) -> None:
    """Run first in every loader process: it shares the cores with training, so it uses one thread.

    Control-C and SIGTERM reach loader processes too. They go on while training takes its last step and writes a checkpoint,
    and are ended by it, or soon after by the system.
    """
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(_SECONDS_AFTER_SIGTERM))


class PerceptionData(L.LightningDataModule):
    """Training and validation loaders.

    Args:
        train: the training split; None where there is no training.
        val: the validation split.
        preprocess: what is done to both.
        target: the ground truth that batches carry.
        protocol: by which the task is evaluated.
        batch_size: images per optimiser step, over all processes and accumulated batches, as recipes are published.
        eval_batch_size: images per batch and process in evaluation where all have one size; otherwise 1.
        num_workers: loader processes of each process, see `loader_processes`; 0 loads in the training process.
        seed: of the order of samples and the augmentation.
        views: of each training image, see `SeededSampler`.

    Attributes:
        start: where training begins, as `ResumableLoader.state_dict` gives it; empty: at the beginning.
    """

    def __init__(
        self,
        train: PerceptionDataset | None,
        val: PerceptionDataset,
        preprocess: Preprocess,
        target: Target,
        protocol: Protocol,
        batch_size: int,
        eval_batch_size: int,
        num_workers: int | str,
        seed: int,
        views: int | None = None,
    ) -> None:
        super().__init__()
        self.train, self.val = train, val
        self.preprocess, self.target, self.protocol = preprocess, target, protocol
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.num_workers, self.seed, self.views = num_workers, seed, views
        self.start: dict[str, int] = {}

    def train_dataloader(self) -> ResumableLoader:
        """Batches of this process; what is left of an epoch after its last whole optimiser step is left out."""
        assert self.trainer is not None
        assert self.train is not None
        parts = self.trainer.world_size * self.trainer.accumulate_grad_batches
        if self.batch_size % parts:
            raise ConfigError(
                f"recipe.batch_size is {self.batch_size} images per optimiser step and cannot be shared by "
                f"{self.trainer.world_size} processes x {self.trainer.accumulate_grad_batches} accumulated batches; "
                f"take a multiple of {parts}."
            )
        if len(self.train) < self.batch_size:
            raise ConfigError(
                f"the training split has {len(self.train)} samples, fewer than recipe.batch_size={self.batch_size}; set "
                f"recipe.batch_size={len(self.train)}, or less."
            )
        loader = self.loader(self.train, self.batch_size // parts, training=True)
        loader.load_state_dict(self.start)
        return loader

    def order(self) -> dict[str, int]:
        """The numbers that decide which samples a step reads; a run that resumes must have the same to be the same run."""
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "views": self.views or 0,
            "samples": 0 if self.train is None else len(self.train),
        }

    def batches_per_epoch(self) -> int:
        """Training batches of this process in an epoch, within the limits of the Trainer."""
        assert self.trainer is not None
        batches, limit = len(self.train_dataloader()), self.trainer.limit_train_batches
        return min(batches, limit) if isinstance(limit, int) else int(batches * limit)

    def val_dataloader(self) -> ResumableLoader:
        """Every validation image once, over all processes."""
        return self.loader(self.val, self._val_batch_size(), training=False)

    def some_val_images(self, count: int) -> DataLoader[Any]:
        """Up to `count` validation samples, evenly spread, one at a time and the same in all processes."""
        chosen = np.linspace(0, len(self.val) - 1, min(count, len(self.val))).round().astype(int).tolist()
        prepared = PreparedDataset(self.val, self.preprocess, self.target, self.protocol.resizes_target)
        return DataLoader(prepared, batch_size=1, sampler=[Draw(i, i) for i in chosen], collate_fn=collate)

    def shared_val_batches(self) -> int:
        """Validation batches that every process has at least."""
        assert self.trainer is not None
        return len(self.val) // self.trainer.world_size // self._val_batch_size()

    def _val_batch_size(self) -> int:
        return self.eval_batch_size if self._share_a_size() else 1

    def _share_a_size(self) -> bool:
        """Whether all images of the evaluation have one size, and all ground truth too, so that they can share a batch."""
        resized = self.preprocess.size is not None and self.protocol.resizes_target
        persons = self.target.sample == "person"
        return self.val.one_size or persons or resized

    def loader(self, dataset: PerceptionDataset, batch_size: int, training: bool) -> ResumableLoader:
        """Batches of this process, `batch_size` samples each."""
        rank, world, local, on_cuda = 0, 1, 1, False
        if self.trainer is not None:
            rank, world = self.trainer.global_rank, self.trainer.world_size
            local = world // self.trainer.num_nodes
            on_cuda = isinstance(self.trainer.accelerator, CUDAAccelerator)
        workers = loader_processes(self.num_workers, local)
        prepared = PreparedDataset(dataset, self.preprocess, self.target, self.protocol.resizes_target)
        return ResumableLoader(
            prepared,
            batch_size=batch_size,
            sampler=SeededSampler(
                len(prepared),
                self.seed,
                training,
                rank,
                world,
                multiple=self.batch_size if training else 1,
                views=self.views,
            ),
            num_workers=workers,
            collate_fn=collate,
            drop_last=training,
            pin_memory=on_cuda,
            persistent_workers=workers > 0,
            worker_init_fn=start_worker,
        )
