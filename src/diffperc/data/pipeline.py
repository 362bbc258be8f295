"""From raw samples to batches: augmentation, resizing, tensors, collation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from diffperc.data.base import PerceptionDataset, Sample
from diffperc.data.sampler import Draw
from diffperc.errors import DataError
from diffperc.protocols import ReferringProtocol
from diffperc.types import Batch, SampleMeta

# truths go the way of a mask: nearest neighbour, never interpolated, never recoloured
_TRUTHS = ("depth", "mask", "referent")


@dataclass(frozen=True)
class Item:
    """One sample as tensors: image (3, H, W) in [0, 1], targets and labels without the batch axis."""

    image: Tensor
    meta: SampleMeta
    scene: int = -1
    caption: str | None = None
    expression: str | None = None
    labels: Tensor | None = None
    targets: dict[str, Tensor] = field(default_factory=dict)


class Prepared(Dataset[Item]):
    """A data set ready for the network.

    Training: image and truths go through `augment` together, with randomness from the draw's seed alone; of several
    expressions one is drawn. Evaluation: only the image is resized, to the `short_side` of the data set; truths keep their
    own size, so that the score is that of the protocol. What has an `input_size` is resized to it in both. Persons are
    cropped by the data set's `person_crop`.

    Args:
        dataset: raw samples; its `augment` is applied if its split is ``train``.
    """

    def __init__(self, dataset: PerceptionDataset) -> None:
        self.dataset = dataset
        self.training = dataset.split == "train"
        info = dataset.info
        resize: list[Any] = []
        if dataset.person_crop is None and info.input_size is not None:
            resize = [A.Resize(*info.input_size)]
        elif info.short_side is not None and not self.training:
            resize = [A.SmallestMaxSize(max_size=info.short_side)]
        protocol = info.protocols.get("referring")
        self.resize_truth = self.training or (isinstance(protocol, ReferringProtocol) and protocol.resized_truth)
        augment = [*resize, *dataset.augment] if self.training else resize
        targets = {name: "mask" for name in _TRUTHS if name != "mask"}
        # OpenCV's other nearest neighbour moves a truth by up to half a pixel against its image
        exact = cv2.INTER_NEAREST_EXACT
        self.transform = A.Compose(augment, additional_targets=targets, mask_interpolation=exact) if augment else None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Item:
        sample = self.dataset[draw.index]
        if sample.person is not None:
            return self._person(sample, draw)
        arrays: dict[str, Any] = {"image": sample.image}
        arrays |= {name: truth for name in _TRUTHS if (truth := getattr(sample, name)) is not None}
        if self.transform is not None:
            changed = arrays if self.resize_truth else {"image": sample.image}
            self.transform.set_random_seed(draw.seed)
            try:
                arrays |= self.transform(**changed)
            except (ValueError, RuntimeError) as error:
                raise DataError(f"{sample.path}: augmentation failed: {error}") from error
        targets = {name: torch.from_numpy(arrays[name].copy()) for name in _TRUTHS if name in arrays}
        if "depth" in targets:
            targets["depth"] = targets["depth"][None]
        targets |= {name: targets[name].long() for name in ("mask", "referent") if name in targets}
        return Item(
            _image(arrays["image"]),
            SampleMeta(sample.path, (sample.image.shape[0], sample.image.shape[1])),
            scene=sample.scene,
            caption=sample.caption,
            expression=sample.expressions[draw.seed % len(sample.expressions)] if sample.expressions else None,
            labels=self._labels(sample, targets),
            targets=targets,
        )

    def _person(self, sample: Sample, draw: Draw) -> Item:
        crop, spec = self.dataset.person_crop, self.dataset.info.keypoints
        assert crop is not None
        assert spec is not None
        done = crop(sample, spec, np.random.default_rng(draw.seed) if self.training else None)
        meta = SampleMeta(sample.path, (sample.image.shape[0], sample.image.shape[1]), sample.person, done.matrix)
        targets = {"heatmap": torch.from_numpy(done.heatmap), "heatmap_weight": torch.from_numpy(done.weight)}
        return Item(_image(done.image), meta, labels=torch.from_numpy(done.visible), targets=targets)

    def _labels(self, sample: Sample, targets: dict[str, Tensor]) -> Tensor | None:
        """Which classes occur after the crop: for referring the referent's category alone."""
        count = len(self.dataset.info.classes)
        if sample.referent is not None:
            ids = torch.tensor([sample.category] if sample.category >= 0 else [], dtype=torch.int64)
        elif "mask" in targets:
            ids = targets["mask"].unique()
        else:
            return None
        labels = torch.zeros(count, dtype=torch.bool)
        labels[ids[ids < count]] = True
        return labels


def _image(pixels: Any) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


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
    labels = [i.labels for i in items if i.labels is not None]
    return Batch(
        image=torch.stack([i.image for i in items]),
        targets={k: torch.stack([i.targets[k] for i in items]) for k in first.targets},
        scene=torch.tensor([i.scene for i in items]),
        labels=torch.stack(labels) if labels else None,
        expression=tuple(i.expression or "" for i in items) if first.expression is not None else None,
        caption=tuple(i.caption or "" for i in items) if first.caption is not None else None,
        meta=tuple(i.meta for i in items),
    )
