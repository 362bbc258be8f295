"""`dataset=scenes`: rendered rooms, drawn on the fly (design: the embedded default)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.errors import DataError
from diffperc.preprocessing.person_crop import PersonCrop
from diffperc.protocols import Protocol
from diffperc.scenes import (
    CLASSES,
    MAX_DEPTH,
    ROOMS,
    Rendered,
    Scene,
    caption,
    expressions,
    extent,
    keypoints,
    render,
    sample_scene,
)
from diffperc.types import DatasetInfo, Person
from diffperc.types.keypoints import COCO_KEYPOINTS

_NEXT, _TRIES = 1_000_003, 100  # where a scene does not serve, the one this far on is tried


class Scenes(PerceptionDataset):
    """Procedural rooms with image, metric depth, semantic mask, caption, room label, expressions and persons.

    The same `seed`, split, index and needs give the same sample in any process; training and validation never share a
    scene. For pose every scene has a person, and the one of whom most is seen is the sample.

    Args:
        split: ``train`` or ``val``.
        protocols: by task, how it is evaluated.
        size: (H, W) pixels of the pictures.
        train_size, val_size: number of scenes.
        seed: another seed is another data set.
        augment: albumentations transforms for training.
        person_crop: how persons are cropped, for pose.
        needs: which truths to give.
    """

    provides = ("depth", "mask", "expression", "keypoints")
    classes = CLASSES

    def __init__(
        self,
        split: Split,
        protocols: Mapping[str, Protocol],
        size: tuple[int, int] = (128, 128),
        train_size: int = 4096,
        val_size: int = 128,
        seed: int = 0,
        augment: Sequence[Any] = (),
        person_crop: PersonCrop | None = None,
        needs: Sequence[str] = ("depth",),
    ) -> None:
        self.split: Split = split
        self.augment = augment
        self.person_crop = person_crop if "keypoints" in needs else None
        self._needs = tuple(needs)
        self._size = (int(size[0]), int(size[1]))
        self._length = train_size if split == "train" else val_size
        self._seed = 2 * seed + (split == "val")
        self.info = DatasetInfo(
            name="scenes",
            provides=self.provides,
            short_side=min(self._size),
            input_size=self.person_crop.size if self.person_crop is not None else None,
            classes=CLASSES,
            scenes=ROOMS,
            max_depth=MAX_DEPTH,
            keypoints=COCO_KEYPOINTS,
            protocols=protocols,
        )

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._length:
            raise IndexError(index)
        path = f"scenes/{self.split}/{index}"
        if "keypoints" in self._needs:
            scene, drawn, person = self._person(index)
            return Sample(path, drawn.image, person=person)
        if "expression" in self._needs:
            return self._referent(path, index)
        scene = sample_scene(self._seed, index)
        drawn = render(scene, self._size)
        return Sample(
            path,
            drawn.image,
            depth=drawn.depth if "depth" in self._needs else None,
            mask=drawn.mask if "mask" in self._needs else None,
            scene=ROOMS.index(scene.room.kind),
            caption=caption(scene, drawn),
        )

    def _referent(self, path: str, index: int) -> Sample:
        """One object of the scene with the expressions that mean it alone; in validation one of them."""
        for number in range(index, index + _TRIES * _NEXT, _NEXT):
            scene = sample_scene(self._seed, number)
            drawn = render(scene, self._size)
            found = expressions(scene, drawn)
            if found:
                break
        else:
            raise DataError(f"{path}: nothing can be named in pictures of {self._size[1]}x{self._size[0]} pixels.")
        rng = np.random.default_rng((self._seed, index, 3))
        chosen = found[int(rng.integers(len(found)))]
        same = tuple(e.text for e in found if e.target == chosen.target)
        return Sample(
            path,
            drawn.image,
            expressions=same if self.split == "train" else (chosen.text,),
            referent=(drawn.instance == chosen.target + 1).astype(np.uint8),
            category=CLASSES.index(scene.objects[chosen.target].kind),
        )

    def _person(self, index: int) -> tuple[Scene, Rendered, Person]:
        """The scene with its most visible person, keypoints counted from pixel centres as in COCO."""
        for number in range(index, index + _TRIES * _NEXT, _NEXT):
            scene = sample_scene(self._seed, number, person=True)
            drawn = render(scene, self._size)
            people = [i for i, thing in enumerate(scene.objects) if thing.kind == "person"]
            areas = [int((drawn.instance == i + 1).sum()) for i in people]
            if max(areas, default=0) > 0:
                break
        else:
            raise DataError(f"scenes: no person can be seen in pictures of {self._size[1]}x{self._size[0]} pixels.")
        chosen = people[int(np.argmax(areas))]
        box, area = extent(drawn, chosen)
        rows = keypoints(scene, drawn, chosen).astype(float)
        rows[:, :2] -= 0.5 * (rows[:, 2:] > 0)  # from the edge of the first pixel to its centre
        points = tuple((float(x), float(y), float(v)) for x, y, v in rows)
        # COCO's evaluation takes annotation 0 for none
        return scene, drawn, Person(box, points, float(area), image_id=index, annotation_id=index + 1)

    @cached_property
    def _truth(self) -> dict[str, Any]:
        height, width = self._size
        people = [self._person(i)[2] for i in range(self._length)]
        annotations = [
            {
                "id": p.annotation_id,
                "image_id": p.image_id,
                "category_id": 1,
                "bbox": list(p.box),
                "area": p.area,
                "iscrowd": 0,
                "num_keypoints": sum(v > 0 for *_, v in p.keypoints),
                "keypoints": [value for row in p.keypoints for value in row],
            }
            for p in people
        ]
        return {
            "images": [{"id": i, "height": height, "width": width} for i in range(self._length)],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_KEYPOINTS.names), "skeleton": []}],
        }

    def keypoint_truth(self) -> dict[str, Any]:
        return self._truth
