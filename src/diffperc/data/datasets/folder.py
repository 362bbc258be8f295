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
from typing import Any, Literal

from numpy.typing import NDArray

from diffperc.data.base import PerceptionDataset, Split
from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.coco import read_annotations
from diffperc.data.formats.expressions import merged, per_sentence, with_expressions
from diffperc.data.formats.image_folder import Record, image_folder, read_records
from diffperc.data.formats.persons import Persons
from diffperc.data.formats.split import Splitting
from diffperc.data.shared_list import SharedList
from diffperc.errors import ConfigError, DataError, did_you_mean
from diffperc.files.headers import orientation
from diffperc.files.images import check_size, read_image
from diffperc.files.read import check_root
from diffperc.ranges import Depth, Length, Positive
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
    "unused_columns": ("mask", "depth", "normals", "referent"),
}


class Folder(PerceptionDataset):
    """A user's own folder.

    Args:
        split: ``train`` or ``val``.
        root: the folder above.
        target: the ground truth of the samples.
        val: which images are for validation: a fraction, a file with a list, or None; see `Splitting`.
        classes: names in the order of their ids, or by id, or a yaml file with either; None for ``classes.yaml``.
        ignore: ids in masks that are not counted.
        depth_scale: counts per metre in depth images of whole numbers; npy files of other numbers hold metres.
        max_depth: metres, the largest depth the network can express.
        scenes: scene labels; None for those in a table's column ``scene``.
        keypoints: the COCO file, relative to the root.
        expression_length: tokens to which a sentence is padded or cut.
        exif: how ground truth goes with images that their EXIF data turns: ``upright``, drawn on the image as viewers show
            it; ``stored``, on the pixels of the file, and the image is then not turned; None: such an image is refused.
        group_by: ``folder`` keeps the images of a folder on one side where a fraction is for validation; None: each image
            is drawn alone.
        unused_columns: of tables, which are there but not to be read.
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
        max_depth: Depth = 10.0,
        scenes: Sequence[str] | None = None,
        keypoints: str = "keypoints.json",
        expression_length: Length = 40,
        exif: Literal["upright", "stored"] | None = None,
        group_by: Literal["folder"] | None = None,
        unused_columns: Sequence[str] = (),
        diagnostics: Diagnostics = STOP,
    ) -> None:
        self.split: Split = split
        place = Path(root).expanduser()
        splitting = Splitting(place, val, group_by, diagnostics)
        check_root("Folder", place, "images/ and what goes with them")
        self._samples: _Persons | _Images
        if isinstance(target, DenseTarget):
            records = read_records(place, target, diagnostics, unused_columns)
            files = tuple(record.target for record in records)
            options = FolderOptions(place, classes, _ignored(ignore), depth_scale, files)
            self._samples = _Images(split, target, options, records, splitting, scenes, exif, diagnostics)
        else:
            self._samples = _Persons(split, place, keypoints, splitting, diagnostics)
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
        records: Sequence[Record],
        splitting: Splitting,
        scenes: Sequence[str] | None,
        exif: str | None,
        diagnostics: Diagnostics,
    ) -> None:
        self._target, self._exif = target, exif
        reader = target.folder_reader(options)
        self._read, self.classes = reader.read, reader.classes
        if reader.problem:
            diagnostics.draft("classes.yaml", reader.draft)
            diagnostics.problem(reader.problem)
        train, validation = splitting.split(record.name for record in records)
        wanted = train if split == "train" else validation
        chosen = [record for record in records if record.name in wanted]
        self._has_expressions = target.sample == "expression"
        if self._has_expressions:
            self.classes = _unique(record.category for record in records)
            chosen = with_expressions(chosen, diagnostics)
            chosen = merged(chosen) if split == "train" else per_sentence(chosen)
        found = _unique(record.scene for record in records)
        self.scenes = found if scenes is None else tuple(scenes)
        _check_scenes(self.scenes, found, diagnostics)
        self._records = SharedList(chosen)

    def __len__(self) -> int:
        return len(self._records)

    def sample(self, index: int) -> Sample:
        record = self._records[index]
        image, values = read_image(record.image, self._exif != "stored"), self._read(record.target)
        check_size(self._target.name, record.target, values, record.image, image)
        if self._exif is None and orientation(record.image) > 1:
            raise DataError(
                f"{record.image}: is turned by its EXIF data, and {self._target.name} is not, though their sizes agree. Set "
                "dataset.exif=upright if the ground truth was drawn on the image as viewers show it, or dataset.exif=stored "
                "if it was drawn on the pixels of the file."
            )
        return Sample(
            path=str(record.image),
            image=image,
            targets={self._target.name: values},
            scene=_index(self.scenes, record.scene),
            expressions=record.expressions if self._has_expressions else (),
            category=_index(self.classes, record.category),
            caption=record.caption,
            files=(record.image, record.target),
        )

    def target(self, index: int) -> NDArray[Any]:
        return self._read(self._records[index].target)

    def annotations(self) -> dict[str, Any]:
        raise NotImplementedError("these samples have no keypoints")


class _Persons:
    """The persons of a COCO file."""

    classes = scenes = ()

    def __init__(
        self, split: Split, root: Path, keypoints: str, splitting: Splitting, diagnostics: Diagnostics
    ) -> None:
        file = root / keypoints
        if not file.is_file():
            raise DataError(
                f"Folder: there is no file '{file}', persons' keypoints in COCO's format; put it there, or set "
                "dataset.keypoints to its name."
            )
        names = [image["file_name"] for image in read_annotations(file, diagnostics)["images"]]
        train, validation = splitting.split(names)
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


def _check_scenes(declared: Sequence[str], found: Sequence[str], diagnostics: Diagnostics) -> None:
    """Compare the scene labels of the configuration with those of the tables."""
    for label in found:
        if label not in declared:
            diagnostics.problem(
                f"dataset.scenes: lacks '{label}', a scene of the tables{did_you_mean(label, declared)}"
            )
    absent = [label for label in declared if label not in found]
    if absent:
        diagnostics.unused([f"dataset.scenes: no image has the label {', '.join(absent)}."])


def _index(names: Sequence[str], name: str | None) -> int:
    """The position of a name; -1 if it is not among them."""
    return names.index(name) if name in names else -1
