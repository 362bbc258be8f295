"""`dataset=folder`: images and truths of one's own; docs/own-data.md shows how they lie for each task.

    root/images/**.jpg|png|...                        any names, in folders or not
    root/masks/**.png           segmentation          class ids; root/classes.yaml names them
    root/depth/**.png|npy       depth                 counts (depth_scale a metre) or metres
    root/expressions.jsonl      referring             {"file_name": ..., "mask": ..., "expression": ...}
    root/keypoints.json         pose                  COCO's format

or Hugging Face's imagefolder: images with a ``metadata.jsonl`` or ``metadata.csv`` that names the truths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from omegaconf import OmegaConf

from diffperc.data.base import PerceptionDataset, Sample, Split
from diffperc.data.diagnostics import problem
from diffperc.data.formats.coco import Persons, read_truth
from diffperc.data.formats.image_folder import Record, image_folder, read_records
from diffperc.data.formats.images import check_root, check_size, read_depth, read_image, read_mask, read_region
from diffperc.data.formats.split import split_names
from diffperc.data.shared_list import Packed
from diffperc.errors import ConfigError, DataError
from diffperc.preprocessing.person_crop import PersonCrop
from diffperc.protocols import Protocol
from diffperc.types import DatasetInfo
from diffperc.types.keypoints import COCO_KEYPOINTS

# by what a task needs: the truth, its folder, and its files' endings
_TRUTHS = {
    "mask": ("mask", "masks", (".png",)),
    "depth": ("depth", "depth", (".png", ".npy")),
    "expression": ("mask", "masks", (".png",)),
}


class Folder(PerceptionDataset):
    """A folder of one's own.

    Args:
        split: ``train`` or ``val``.
        root: the folder above.
        protocols: by task, how it is evaluated.
        needs: what the task asks for, one of the truths.
        val: which images are for validation: a fraction, a file with a list, or None; see `split_names`.
        classes: names in the order of their ids, or by id, or a yaml file with either; None: ``classes.yaml``.
        ignore: ids in masks that are not counted.
        depth_scale: counts a metre in depth images of whole numbers; npy files of other numbers hold metres.
        max_depth: metres, the largest depth the network can express.
        scenes: scene labels; None: those that a table has under ``scene``.
        keypoints: the COCO file, relative to the root.
        expression_length: tokens a sentence is padded or cut to.
        short_side, input_size, augment, person_crop: as for other data sets.

    Raises:
        DataError: a file is missing or not what it should be, or a split would be empty.
        ConfigError: the classes are neither names nor a file.
    """

    provides = ("depth", "mask", "expression", "keypoints")
    one_size = False

    def __init__(
        self,
        split: Split,
        root: str,
        protocols: Mapping[str, Protocol],
        needs: Sequence[str],
        val: float | str | None = None,
        classes: Any = None,
        ignore: Sequence[int] = (255,),
        depth_scale: float = 1000.0,
        max_depth: float = 10.0,
        scenes: Sequence[str] | None = None,
        keypoints: str = "keypoints.json",
        expression_length: int = 40,
        short_side: int | None = None,
        input_size: Sequence[int] | None = None,
        augment: Sequence[Any] = (),
        person_crop: PersonCrop | None = None,
    ) -> None:
        self.split: Split = split
        self.augment = augment
        if not depth_scale > 0:
            raise ConfigError(f"dataset.depth_scale: must be more than 0 counts a metre, found {depth_scale}.")
        self._need, self._ignore, self._depth_scale = needs[0], _ignored(ignore), depth_scale
        place = Path(root).expanduser()
        check_root("Folder", place, "images/ and what goes with them")
        self._class_of: dict[int, int] = {}
        names: tuple[str, ...] = ()
        known: tuple[str, ...] = tuple(scenes or ())
        if self._need == "keypoints":
            self.one_size, self.person_crop = True, person_crop
            self._persons = self._read_persons(place, place / keypoints, val)
        else:
            records = read_records(place, *_TRUTHS[self._need], sentences=self._need == "expression")
            if self._need == "mask":
                names, self._class_of = _classes(place, classes, self._ignore)
            elif self._need == "expression":
                names = tuple(sorted({r.category for r in records if r.category}))
            elif scenes is None:
                known = tuple(sorted({r.scene for r in records if r.scene}))
            self._samples = Packed(self._choose(records, place, val))
        self._categories, self._scenes = ({n: i for i, n in enumerate(which)} for which in (names, known))
        self.info = DatasetInfo(
            name="folder",
            provides=self.provides,
            classes=names,
            scenes=known,
            max_depth=max_depth,
            short_side=None if self._need == "expression" else short_side,
            input_size=_size(self.person_crop.size if self.person_crop else input_size),
            keypoints=COCO_KEYPOINTS,
            expression_length=expression_length,
            protocols=protocols,
        )

    def _wanted(self, names: Sequence[str], root: Path, val: float | str | None) -> set[str]:
        train, validation = split_names(names, root, val)
        return train if self.split == "train" else validation

    def _choose(self, records: Sequence[Record], root: Path, val: float | str | None) -> list[Record]:
        """The split's samples: images; or referents with all their sentences, in validation one sample a sentence."""
        wanted = self._wanted([r.name for r in records], root, val)
        chosen = [r for r in records if r.name in wanted]
        if self._need != "expression":
            return chosen
        for record in chosen:
            if not record.expressions:
                problem(f"{record.where}has no 'expression', a sentence that names what the mask shows.")
        if self.split == "val":
            return [r._replace(expressions=(sentence,)) for r in chosen for sentence in r.expressions]
        merged: dict[tuple[str, Path], Record] = {}
        for record in chosen:
            if record.expressions:
                before = merged.get((record.name, record.truth))
                said = (*before.expressions, *record.expressions) if before else record.expressions
                merged[record.name, record.truth] = record._replace(expressions=said)
        return list(merged.values())

    def _read_persons(self, root: Path, file: Path, val: float | str | None) -> Persons:
        if not file.is_file():
            raise DataError(
                f"Folder: there is no file '{file}', persons' keypoints in COCO's format; put it there, or set "
                "dataset.keypoints to its name."
            )
        names = [image["file_name"] for image in read_truth(file)["images"]]
        return Persons(file, image_folder(root), keep=self._wanted(names, root, val).__contains__)

    def __len__(self) -> int:
        return len(self._persons if self._need == "keypoints" else self._samples)

    def __getitem__(self, index: int) -> Sample:
        if self._need == "keypoints":
            return self._persons.sample(index)
        record = self._samples[index]
        image, truth = read_image(record.image), self._read(record.truth)
        check_size(_TRUTHS[self._need][0], record.truth, truth, record.image, image)
        name = "referent" if self._need == "expression" else self._need
        truths: dict[str, Any] = {name: truth}
        return Sample(
            path=str(record.image),
            image=image,
            scene=self._scenes.get(record.scene or "", -1),
            expressions=record.expressions if self._need == "expression" else (),
            category=self._categories.get(record.category or "", -1),
            caption=record.caption,
            **truths,
        )

    def truth(self, index: int, name: str = "") -> NDArray[Any]:
        return self._read(self._samples[index].truth)

    def _read(self, file: Path) -> NDArray[Any]:
        if self._need == "depth":
            return read_depth(file, self._depth_scale)
        return read_mask(file, self._class_of, self._ignore) if self._need == "mask" else read_region(file)

    def keypoint_truth(self) -> dict[str, Any]:
        return self._persons.truth()


def _size(size: Sequence[int] | None) -> tuple[int, int] | None:
    return None if size is None else (int(size[0]), int(size[1]))


def _ignored(ignore: Any) -> tuple[int, ...]:
    if not isinstance(ignore, list | tuple) or not all(type(i) is int and 0 <= i <= 255 for i in ignore):
        raise ConfigError(f"dataset.ignore: must be a list of ids from 0 to 255 such as [255], found {ignore!r}.")
    return tuple(ignore)


def _classes(root: Path, given: Any, ignored: Sequence[int]) -> tuple[tuple[str, ...], dict[int, int]]:
    """Names of the classes, and which of them each id in a file stands for."""
    where = "dataset.classes"
    if given is None or isinstance(given, str):
        file = root / (given or "classes.yaml")
        where = str(file)
        if not file.is_file():
            raise DataError(
                f"Folder: there is no file '{file}'. It names the classes, in the order of their ids in the masks "
                "(- road), or by id (7: road); write it, or set dataset.classes=[road,sky]."
            )
        try:
            given = OmegaConf.to_container(OmegaConf.load(file))
        except Exception as error:  # those of yaml, of OmegaConf, of decoding
            raise DataError(f"{file}: cannot be read as yaml ({str(error).splitlines()[0]}).") from error
    is_list = isinstance(given, list | tuple)
    pairs = list(given.items()) if isinstance(given, Mapping) else list(enumerate(given)) if is_list else []
    names = [name for _, name in pairs]
    ids = [int(i) if str(i).isdigit() else 255 for i, _ in pairs]
    good = all(isinstance(n, str) and n.strip() for n in names) and len(set(names)) == len(names) == len(set(ids))
    if not pairs or not good or max(ids) > 254 or set(ids) & set(ignored):
        raise ConfigError(
            f"{where}: must be different names in the order of their ids, or names by id from 0 to 254, none of them among "
            f"dataset.ignore={list(ignored)}; in yaml a word such as yes needs quotes."
        )
    ordered = sorted(zip(ids, names, strict=True))
    return tuple(name for _, name in ordered), {label: i for i, (label, _) in enumerate(ordered)}
