"""`dataset=scenes`: rendered rooms, drawn on the fly (design: the embedded default)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.data.scenes import CLASSES, MAX_DEPTH, ROOMS, caption, render, sample_scene
from diffperc.types import DatasetInfo, DepthProtocol


class Scenes(PerceptionDataset):
    """Procedural rooms with image, metric depth, semantic mask, caption and room label.

    The same `seed`, split and index give the same scene in any process; training and validation never share one.

    Args:
        split: ``train`` or ``val``.
        protocol: how depth is evaluated.
        size: (H, W) pixels.
        train_size, val_size: number of scenes.
        seed: another seed is another data set.
        augment: albumentations transforms for training.
    """

    def __init__(
        self,
        split: Split,
        protocol: DepthProtocol,
        size: tuple[int, int] = (128, 128),
        train_size: int = 4096,
        val_size: int = 128,
        seed: int = 0,
        augment: Sequence[Any] = (),
    ) -> None:
        self.split: Split = split
        self.augment = augment
        self._size = (int(size[0]), int(size[1]))
        self._length = train_size if split == "train" else val_size
        self._seed = 2 * seed + (split == "val")
        self.info = DatasetInfo(
            name="scenes",
            provides=("depth", "mask", "caption"),
            short_side=min(self._size),
            classes=CLASSES,
            scenes=ROOMS,
            max_depth=MAX_DEPTH,
            protocol=protocol,
        )

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._length:
            raise IndexError(index)
        scene = sample_scene(self._seed, index)
        drawn = render(scene, self._size)
        return Sample(
            path=f"scenes/{self.split}/{index}",
            image=drawn.image,
            depth=drawn.depth,
            mask=drawn.mask,
            scene=ROOMS.index(scene.room.kind),
            caption=caption(scene, drawn),
        )
