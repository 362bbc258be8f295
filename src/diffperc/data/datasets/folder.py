"""`dataset=folder`: a user's own images and ground truth; docs/own-data.md shows the layout of each task.

    root/images/**.jpg|png|...                        any names, at any depth
    root/masks/**.png           segmentation          class ids; root/classes.yaml names them
    root/depth/**.png|npy       depth                 counts (depth_scale per metre) or metres
    root/expressions.jsonl      referring             {"file_name": ..., "mask": ..., "expression": ...}
    root/keypoints.json         pose                  COCO's format

or Hugging Face's imagefolder: images with a ``metadata.jsonl`` or ``metadata.csv`` that names the ground truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Split
from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.coco import read_annotations
from diffperc.data.formats.files import check_root
from diffperc.data.formats.image_folder import Record, image_folder, read_records
from diffperc.data.formats.images import check_size, read_image
from diffperc.data.formats.persons import Persons
from diffperc.data.formats.split import split_names
from diffperc.data.shared_list import SharedList
from diffperc.errors import ConfigError, DataError
from diffperc.ranges import Length, Positive
from diffperc.types import COCO_KEYPOINTS, DatasetInfo, DenseTarget, FolderOptions, Sample, Target

# options that are read for some kinds of ground truth alone
_ONLY_FOR = {
    "classes": ("mask",),
    "ignore": ("mask",),
    "depth_scale": ("depth",),
    "max_depth": ("depth",),
    "scenes": ("depth", "normals"),
    "keypoints": ("keypoints",),
    "expression_length": ("referent",),
}


class Folder(PerceptionDataset):
    """A user's own folder.

    Args:
        split: ``train`` or ``val``.
        root: the folder above.
        target: the ground truth of the samples.
        val: which images are for validation: a fraction, a file with a list, or None; see `split_names`.
        classes: names in the order of their ids, or by id, or a yaml file with either; None for ``classes.yaml``.
        ignore: ids in masks that are not counted.
        depth_scale: counts per metre in depth images of whole numbers; npy files of other numbers hold metres.
        max_depth: metres, the largest depth the network can express.
        scenes: scene labels; None for those in a table's column ``scene``.
        keypoints: the COCO file, relative to the root.
        expression_length: tokens to which a sentence is padded or cut.
        diagnostics: collects problems.

    Raises:
        DataError: a file is missing or has another format, or a split would be empty.
        ConfigError: the classes are neither names nor a file.
    """

    any_target = True
    one_size = False

    def __init__(
        self,
        split: Split,
        root: str,
        target: Target,
        val: float | str | None = None,
        classes: Any = None,
        ignore: Sequence[int] = (255,),
        depth_scale: Positive = 1000.0,
        max_depth: Positive = 10.0,
        scenes: Sequence[str] | None = None,
        keypoints: str = "keypoints.json",
        expression_length: Length = 40,
        diagnostics: Diagnostics = STOP,
    ) -> None:
        self.split: Split = split
        place = Path(root).expanduser()
        options = FolderOptions(place, classes, _ignored(ignore), depth_scale)
        check_root("Folder", place, "images/ and what goes with them")
        self._samples: _Persons | _Images
        if isinstance(target, DenseTarget):
            self._samples = _Images(split, target, options, val, scenes, diagnostics)
        else:
            self._samples = _Persons(split, place, keypoints, val, diagnostics)
        self.info = DatasetInfo(
            name="folder",
            classes=self._samples.classes,
            scenes=self._samples.scenes,
            max_depth=max_depth,
            keypoints=COCO_KEYPOINTS,
            expression_length=expression_length,
        )

    @classmethod
    def offers(cls, target: Target) -> bool:
        if isinstance(target, DenseTarget):
            return target.folder != ""
        return target.sample == "person"

    @classmethod
    def not_read(cls, target: Target) -> tuple[str, ...]:
        return tuple(option for option, targets in _ONLY_FOR.items() if target.name not in targets)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples.sample(index)

    def target(self, index: int) -> NDArray[Any]:
        return self._samples.target(index)

    def keypoint_annotations(self) -> dict[str, Any]:
        return self._samples.annotations()


class _Images:
    """Images with one ground-truth file each. One sample per image; or per referent, in validation per sentence."""

    def __init__(
        self,
        split: Split,
        target: DenseTarget,
        options: FolderOptions,
        val: float | str | None,
        scenes: Sequence[str] | None,
        diagnostics: Diagnostics,
    ) -> None:
        self._target = target
        records = read_records(options.root, target, diagnostics)
        self._read, self.classes = target.folder_reader(options)
        names = [record.name for record in records]
        train, validation = split_names(names, options.root, val, diagnostics)
        wanted = train if split == "train" else validation
        chosen = [record for record in records if record.name in wanted]
        self._has_expressions = target.sample == "expression"
        if self._has_expressions:
            self.classes = _unique(record.category for record in records)
            chosen = _with_expressions(chosen, diagnostics)
            chosen = _merged(chosen) if split == "train" else _per_sentence(chosen)
        if scenes is None:
            scenes = _unique(record.scene for record in records)
        self.scenes = tuple(scenes)
        self._records = SharedList(chosen)

    def __len__(self) -> int:
        return len(self._records)

    def sample(self, index: int) -> Sample:
        record = self._records[index]
        image, values = read_image(record.image), self._read(record.target)
        check_size(self._target.name, record.target, values, record.image, image)
        return Sample(
            path=str(record.image),
            image=image,
            targets={self._target.name: values},
            scene=_index(self.scenes, record.scene),
            expressions=record.expressions if self._has_expressions else (),
            category=_index(self.classes, record.category),
            caption=record.caption,
        )

    def target(self, index: int) -> NDArray[Any]:
        return self._read(self._records[index].target)

    def annotations(self) -> dict[str, Any]:
        raise NotImplementedError("these samples have no keypoints")


class _Persons:
    """The persons of a COCO file."""

    classes = scenes = ()

    def __init__(
        self, split: Split, root: Path, keypoints: str, val: float | str | None, diagnostics: Diagnostics
    ) -> None:
        file = root / keypoints
        if not file.is_file():
            raise DataError(
                f"Folder: there is no file '{file}', persons' keypoints in COCO's format; put it there, or set "
                "dataset.keypoints to its name."
            )
        names = [image["file_name"] for image in read_annotations(file, diagnostics)["images"]]
        train, validation = split_names(names, root, val, diagnostics)
        wanted = train if split == "train" else validation
        self._persons = Persons(file, image_folder(root), keep=wanted.__contains__, diagnostics=diagnostics)

    def __len__(self) -> int:
        return len(self._persons)

    def sample(self, index: int) -> Sample:
        return self._persons.sample(index)

    def target(self, index: int) -> NDArray[Any]:
        raise NotImplementedError("persons have no dense ground truth")

    def annotations(self) -> dict[str, Any]:
        return self._persons.annotations()


def _ignored(ignore: Any) -> tuple[int, ...]:
    if not isinstance(ignore, list | tuple) or not all(map(_is_id, ignore)):
        raise ConfigError(f"dataset.ignore: must be a list of ids from 0 to 255 such as [255], found {ignore!r}.")
    return tuple(ignore)


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 255


def _unique(names: Iterable[str | None]) -> tuple[str, ...]:
    """The names that occur, sorted."""
    return tuple(sorted(set(filter(None, names))))


def _index(names: Sequence[str], name: str | None) -> int:
    """The position of a name; -1 if it is not among them."""
    return names.index(name) if name in names else -1


def _with_expressions(records: Sequence[Record], diagnostics: Diagnostics) -> list[Record]:
    """The records that have sentences; the others are reported."""
    found = []
    for record in records:
        if record.expressions:
            found.append(record)
        else:
            diagnostics.problem(f"{record.where}has no 'expression', a sentence that names what the mask shows.")
    return found


def _per_sentence(records: Sequence[Record]) -> list[Record]:
    """One record per sentence."""
    found = []
    for record in records:
        for sentence in record.expressions:
            found.append(record._replace(expressions=(sentence,)))
    return found


def _merged(records: Sequence[Record]) -> list[Record]:
    """One record per referent, with all its sentences."""
    merged: dict[tuple[str, Path], Record] = {}
    for record in records:
        key = record.name, record.target
        if key in merged:
            record = record._replace(expressions=merged[key].expressions + record.expressions)
        merged[key] = record
    return list(merged.values())
