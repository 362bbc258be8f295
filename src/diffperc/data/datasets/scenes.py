"""`dataset=scenes`: rendered rooms, drawn on the fly."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from diffperc.data.base import PerceptionDataset, Split
from diffperc.errors import DataError
from diffperc.ranges import Count, WholeNumber
from diffperc.scenes import (
    CLASSES,
    MAX_DEPTH,
    ROOMS,
    Rendered,
    caption,
    expressions,
    extent,
    keypoints,
    render,
    sample_scene,
)
from diffperc.types import COCO_KEYPOINTS, DatasetInfo, DenseTarget, Person, Sample, Target

_NEXT, _TRIES = 1_000_003, 100  # if a scene cannot be used, the one this much further is tried


class Scenes(PerceptionDataset):
    """Procedural rooms with image, exact ground truth, caption, room label, expressions and persons.

    The same `seed`, split, index and target give the same sample in any process; training and validation never share a
    scene. For poses every scene holds a person, and the sample is the most visible one.

    Args:
        split: ``train`` or ``val``.
        target: the ground truth of the samples.
        size: (H, W) pixels of the images.
        train_size: number of scenes for training.
        val_size: number of scenes for validation.
        seed: each seed gives another data set.
    """

    any_target = True
    classes = CLASSES

    def __init__(
        self,
        split: Split,
        target: Target,
        size: tuple[Count, Count] = (128, 128),
        train_size: Count = 6400,
        val_size: Count = 128,
        seed: WholeNumber = 0,
    ) -> None:
        self.split: Split = split
        self._target = target
        self._size = (int(size[0]), int(size[1]))
        self._length = train_size if split == "train" else val_size
        self._seed = 2 * seed + (split == "val")
        self._sample = {"image": self._image, "expression": self._referent, "person": self._person_of}[target.sample]
        self.info = DatasetInfo(
            name="scenes", classes=CLASSES, scenes=ROOMS, max_depth=MAX_DEPTH, keypoints=COCO_KEYPOINTS
        )

    @classmethod
    def offers(cls, target: Target) -> bool:
        # expressions and persons are drawn with their ground truth, whatever needs them
        return target.sample != "image" or (isinstance(target, DenseTarget) and target.rendered)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._length:
            raise IndexError(index)
        return self._sample(f"scenes/{self.split}/{index}", index)

    def _image(self, path: str, index: int) -> Sample:
        assert isinstance(self._target, DenseTarget)
        scene = sample_scene(self._seed, index)
        rendered = render(scene, self._size)
        targets = {self._target.name: self._target.from_scene(rendered)}
        room = ROOMS.index(scene.room.kind)
        return Sample(path, rendered.image, targets, scene=room, caption=caption(scene, rendered))

    def _referent(self, path: str, index: int) -> Sample:
        """One object of the scene with the expressions that mean it alone; in validation one of them."""
        for number in range(index, index + _TRIES * _NEXT, _NEXT):
            scene = sample_scene(self._seed, number)
            rendered = render(scene, self._size)
            found = expressions(scene, rendered)
            if found:
                break
        else:
            raise DataError(f"{path}: nothing can be named in images of {self._size[1]}x{self._size[0]} pixels.")
        rng = np.random.default_rng((self._seed, index, 3))
        chosen = found[int(rng.integers(len(found)))]
        texts: tuple[str, ...] = (chosen.text,)
        if self.split == "train":
            texts = tuple(e.text for e in found if e.target == chosen.target)
        return Sample(
            path,
            rendered.image,
            {self._target.name: (rendered.instance == chosen.target + 1).astype(np.uint8)},
            expressions=texts,
            category=CLASSES.index(scene.objects[chosen.target].kind),
        )

    def _person_of(self, path: str, index: int) -> Sample:
        rendered, person = self._person(index)
        return Sample(path, rendered.image, person=person)

    def _person(self, index: int) -> tuple[Rendered, Person]:
        """The scene with its most visible person, keypoints counted from pixel centres as in COCO."""
        for number in range(index, index + _TRIES * _NEXT, _NEXT):
            scene = sample_scene(self._seed, number, person=True)
            rendered = render(scene, self._size)
            people = [i for i, thing in enumerate(scene.objects) if thing.kind == "person"]
            areas = [int((rendered.instance == i + 1).sum()) for i in people]
            if max(areas, default=0) > 0:
                break
        else:
            raise DataError(f"scenes: no person can be seen in images of {self._size[1]}x{self._size[0]} pixels.")
        chosen = people[int(np.argmax(areas))]
        box, area = extent(rendered, chosen)
        rows = keypoints(scene, rendered, chosen).astype(float)
        rows[:, :2] -= 0.5 * (rows[:, 2:] > 0)  # from the edge of the first pixel to its centre
        points = tuple((float(x), float(y), float(v)) for x, y, v in rows)
        # COCO's evaluation takes annotation 0 for none
        return rendered, Person(box, points, float(area), image_id=index, annotation_id=index + 1)

    @cached_property
    def _annotations(self) -> dict[str, Any]:
        height, width = self._size
        people = [self._person(i)[1] for i in range(self._length)]
        annotations = [_annotation(person) for person in people]
        return {
            "images": [{"id": i, "height": height, "width": width} for i in range(self._length)],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_KEYPOINTS.names), "skeleton": []}],
        }

    def keypoint_annotations(self) -> dict[str, Any]:
        return self._annotations


def _annotation(person: Person) -> dict[str, Any]:
    """A person in COCO's format."""
    rows = np.array(person.keypoints)
    return {
        "id": person.annotation_id,
        "image_id": person.image_id,
        "category_id": 1,
        "bbox": list(person.box),
        "area": person.area,
        "iscrowd": 0,
        "num_keypoints": int((rows[:, 2] > 0).sum()),
        "keypoints": rows.reshape(-1).tolist(),
    }
