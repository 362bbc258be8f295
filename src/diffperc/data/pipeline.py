"""From raw samples to batches: preprocessing, tensors, collation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from diffperc.checks import check_shape
from diffperc.data.base import PerceptionDataset
from diffperc.data.sampler import Draw
from diffperc.errors import DataError
from diffperc.preprocessing import Preprocess, image_tensor
from diffperc.types import Batch, DenseTarget, Picture, Sample, SampleMeta, Target

_LONGEST = 100


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


class PreparedDataset(Dataset[Item]):
    """A data set as the network reads it, see `Preprocess`.

    Training draws one of several expressions; the draw's seed determines everything random.

    Args:
        dataset: raw samples; its split decides between training and evaluation.
        preprocess: the preprocessing.
        target: the ground truth to prepare.
        resize_target: whether evaluation resizes the ground truth with the image, as some protocols do.

    Raises:
        ConfigError: the preprocessing is for another kind of target, see `Preprocess.check`.
    """

    def __init__(
        self, dataset: PerceptionDataset, preprocess: Preprocess, target: Target, resize_target: bool = False
    ) -> None:
        self.dataset, self.preprocess, self.target = dataset, preprocess, target
        self.training = dataset.split == "train"
        self._resize_target = resize_target
        self._augmentation = None
        preprocess.check(target)
        if self.training and isinstance(target, DenseTarget) and preprocess.augment:
            self._augmentation = preprocess.augmentation(target)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw | int) -> Item:
        """A draw of a `SeededSampler`; or a bare index, whose augmentation is then always the same."""
        index, seed = (draw.index, draw.seed) if isinstance(draw, Draw) else (draw, draw)
        sample = self.dataset[index]
        check_elongation(sample.path, sample.image)
        if isinstance(self.target, DenseTarget):
            return self._image(sample, self.target, seed)
        return self._person(sample, seed)

    def _image(self, sample: Sample, target: DenseTarget, seed: int) -> Item:
        image, values = sample.image, sample.targets[target.name]
        if not self.training or self.preprocess.size is not None:
            image = self.preprocess.evaluation(image)
        if self.training or self._resize_target:
            values = self.preprocess.resized_target(values, (image.shape[0], image.shape[1]))
        if self._augmentation is not None:
            try:
                image, values = self._augmentation(image, values, seed)
            except (ValueError, RuntimeError, cv2.error) as error:
                raise DataError(f"{sample.path}: augmentation failed: {error}") from error
        tensor = target.tensor(values)
        check_shape(f"{sample.path}: the target '{target.name}'", tensor[None], target.dims)
        expression = None
        if sample.expressions:
            expression = sample.expressions[seed % len(sample.expressions)]
        return Item(
            image_tensor(image),
            SampleMeta(sample.path, (sample.image.shape[0], sample.image.shape[1])),
            scene=sample.scene,
            caption=sample.caption,
            expression=expression,
            labels=target.labels(tensor, sample, len(self.dataset.info.classes)),
            targets={target.name: tensor},
        )

    def _person(self, sample: Sample, seed: int) -> Item:
        crop, spec = self.preprocess.person_crop, self.dataset.info.keypoints
        assert crop is not None
        assert spec is not None
        rng = np.random.default_rng(seed) if self.training else None
        done = crop(sample, spec, rng)
        size = (sample.image.shape[0], sample.image.shape[1])
        return Item(
            image_tensor(done.image),
            SampleMeta(sample.path, size, sample.person, done.matrix),
            labels=torch.from_numpy(done.visible),
            targets={"heatmap": torch.from_numpy(done.heatmap), "heatmap_weight": torch.from_numpy(done.weight)},
        )


def check_elongation(name: str, image: Picture) -> None:
    """Check that an image (H, W, 3) is no strip, whose long side would be enlarged to any size with its short one.

    Raises:
        DataError: it is one.
    """
    height, width = image.shape[:2]
    if max(height, width) > _LONGEST * min(height, width):
        raise DataError(
            f"{name}: is {width}x{height} pixels, more than {_LONGEST} times longer on one side than on the other; "
            "cut it, or leave it out."
        )


def collate(items: Sequence[Item]) -> Batch:
    """Stack items of equal size.

    Raises:
        DataError: sizes differ; two of the files are named.
    """
    first = items[0]
    for item in items[1:]:
        if _shapes(item) != _shapes(first):
            raise DataError(
                f"{first.meta.path} and {item.meta.path} have different sizes and cannot share a batch: crop them in "
                "preprocessing.augment, or set recipe.eval_batch_size=1 for evaluation."
            )
    labels = [item.labels for item in items if item.labels is not None]
    return Batch(
        image=torch.stack([item.image for item in items]),
        targets={name: _stacked(items, name) for name in first.targets},
        scene=torch.tensor([item.scene for item in items]),
        labels=torch.stack(labels) if labels else None,
        expression=_sentences([item.expression for item in items]),
        caption=_sentences([item.caption for item in items]),
        meta=tuple(item.meta for item in items),
    )


def _shapes(item: Item) -> list[torch.Size]:
    return [item.image.shape, *(target.shape for target in item.targets.values())]


def _stacked(items: Sequence[Item], name: str) -> Tensor:
    return torch.stack([item.targets[name] for item in items])


def _sentences(given: Sequence[str | None]) -> tuple[str, ...] | None:
    """None if no item has a sentence; an empty one for items without."""
    if all(sentence is None for sentence in given):
        return None
    return tuple(sentence or "" for sentence in given)
