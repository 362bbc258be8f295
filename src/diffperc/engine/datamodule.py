"""The data loaders, built once the number of processes is known."""

from __future__ import annotations

import cv2
import lightning as L
from lightning.pytorch.accelerators import CUDAAccelerator
from torch.utils.data import DataLoader

from diffperc.data import PerceptionDataset, PreparedDataset, SeededSampler, collate
from diffperc.data.pipeline import Item
from diffperc.errors import ConfigError
from diffperc.preprocessing import Preprocess
from diffperc.types import Protocol, Target


def start_worker(_: int) -> None:
    """Run first in every loader process: loader processes share the cores with training, so each uses one thread."""
    cv2.setNumThreads(0)


class PerceptionData(L.LightningDataModule):
    """Training and validation loaders.

    Args:
        train, val: the two splits; None where there is no training.
        preprocess: what is done to both.
        target: the ground truth that batches carry.
        protocol: by which the task is evaluated.
        batch_size: images per optimiser step, over all processes and accumulated batches, as recipes are published.
        eval_batch_size: images per batch and process in evaluation where all have one size; otherwise 1.
        num_workers: loader processes of each process; 0 loads in the training process.
        seed: of the order of samples and the augmentation.
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
        num_workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.train, self.val = train, val
        self.preprocess, self.target, self.protocol = preprocess, target, protocol
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.num_workers, self.seed = num_workers, seed

    def train_dataloader(self) -> DataLoader[Item]:
        """Batches of this process; the last, incomplete one is left out."""
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
        return self.loader(self.train, self.batch_size // parts, training=True)

    def val_dataloader(self) -> DataLoader[Item]:
        """Every validation image once, over all processes."""
        batch_size = self.eval_batch_size if self._share_a_size() else 1
        return self.loader(self.val, batch_size, training=False)

    def _share_a_size(self) -> bool:
        """Whether all images of the evaluation have one size, and all ground truth too, so that they can share a batch."""
        resized = self.preprocess.size is not None and self.protocol.resizes_target
        persons = self.target.sample == "person"
        return self.val.one_size or persons or resized

    def loader(self, dataset: PerceptionDataset, batch_size: int, training: bool) -> DataLoader[Item]:
        """Batches of this process, `batch_size` samples each."""
        rank, world, on_cuda = 0, 1, False
        if self.trainer is not None:
            rank, world = self.trainer.global_rank, self.trainer.world_size
            on_cuda = isinstance(self.trainer.accelerator, CUDAAccelerator)
        prepared = PreparedDataset(dataset, self.preprocess, self.target, self.protocol.resizes_target)
        return DataLoader(
            prepared,
            batch_size=batch_size,
            sampler=SeededSampler(len(prepared), self.seed, shuffle=training, rank=rank, world=world),
            num_workers=self.num_workers,
            collate_fn=collate,
            drop_last=training,
            pin_memory=on_cuda,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=start_worker,
        )
