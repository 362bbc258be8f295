"""From raw samples to batches: augmentation, resizing, tensors, collation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import albumentations as A
import torch
from torch import Tensor
from torch.utils.data import Dataset

from diffperc.data.base import PerceptionDataset, Sample
from diffperc.data.sampler import Draw
from diffperc.errors import DataError
from diffperc.types import Batch, SampleMeta


@dataclass(frozen=True)
class Item:
    """One sample as tensors: image (3, H, W) in [0, 1], targets without the batch axis."""

    image: Tensor
    scene: int
    caption: str | None
    meta: SampleMeta
    targets: dict[str, Tensor] = field(default_factory=dict)


class Prepared(Dataset[Item]):
    """A data set ready for the network.

    Training: image and truths are resized together to the short side and augmented, with randomness from the draw's seed
    alone. Evaluation: only the image is resized; truths keep their own size, so that the score is that of the protocol.

    Args:
        dataset: raw samples; its `augment` is applied if its split is ``train``.
    """

    def __init__(self, dataset: PerceptionDataset) -> None:
        self.dataset = dataset
        self.training = dataset.split == "train"
        short = dataset.info.short_side
        resize = [A.SmallestMaxSize(max_size=short)] if short is not None else []
        augment = [*resize, *dataset.augment] if self.training else resize
        # depth goes the way of a mask: nearest neighbour, never interpolated, never recoloured
        self.transform = A.Compose(augment, additional_targets={"depth": "mask"}) if augment else None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Item:
        sample = self.dataset[draw.index]
        truths = {"depth": sample.depth, "mask": sample.mask}
        arrays: dict[str, Any] = {"image": sample.image, **{k: v for k, v in truths.items() if v is not None}}
        if self.transform is not None:
            changed = arrays if self.training else {"image": sample.image}
            self.transform.set_random_seed(draw.seed)
            try:
                arrays |= self.transform(**changed)
            except (ValueError, RuntimeError) as error:
                raise DataError(f"{sample.path}: augmentation failed: {error}") from error
        return _item(sample, arrays)


def _item(sample: Sample, arrays: dict[str, Any]) -> Item:
    image = torch.from_numpy(arrays["image"].copy()).permute(2, 0, 1).float() / 255
    targets = {}
    if "depth" in arrays:
        targets["depth"] = torch.from_numpy(arrays["depth"].copy())[None]
    if "mask" in arrays:
        targets["mask"] = torch.from_numpy(arrays["mask"].copy()).long()
    meta = SampleMeta(sample.path, (sample.image.shape[0], sample.image.shape[1]))
    return Item(image, sample.scene, sample.caption, meta, targets)


def collate(items: Sequence[Item]) -> Batch:
    """Stack items of equal size.

    Raises:
        DataError: sizes differ; two of the files are named.
    """
    first = items[0]
    for item in items[1:]:
        sizes = {k: v.shape for k, v in item.targets.items()}
        if item.image.shape != first.image.shape or sizes != {k: v.shape for k, v in first.targets.items()}:
            raise DataError(
                f"{first.meta.path} and {item.meta.path} have different sizes and cannot share a batch: crop them in "
                "dataset.augment, or set recipe.eval_batch_size=1 for evaluation."
            )
    captions = tuple(i.caption or "" for i in items) if first.caption is not None else None
    return Batch(
        image=torch.stack([i.image for i in items]),
        targets={k: torch.stack([i.targets[k] for i in items]) for k in first.targets},
        scene=torch.tensor([i.scene for i in items]),
        caption=captions,
        meta=tuple(i.meta for i in items),
    )
