"""RefCOCO, RefCOCO+ and RefCOCOg in REFER's layout (methods.md 1.2).

root/refcoco|refcoco+|refcocog/refs(unc|google|umd).p      refs: sentences that each name one annotation
root/refcoco|refcoco+|refcocog/instances.json              COCO's annotations of those images
root/images/train2014/COCO_train2014_*.jpg
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from diffperc.data.base import PerceptionDataset, Split
from diffperc.data.diagnostics import STOP, Diagnostics
from diffperc.data.formats.coco import are_entries, check_entries
from diffperc.data.formats.refer import read_refs
from diffperc.data.shared_list import SharedList
from diffperc.errors import ConfigError, DataError, did_you_mean
from diffperc.files.images import read_image
from diffperc.files.read import Listing, read_json
from diffperc.ranges import Length
from diffperc.types import DatasetInfo, Sample

_SPLIT_BY = {"refcoco": "unc", "refcoco+": "unc", "refcocog": "umd"}
_IMAGES = "images/train2014"
# the lists of instances.json, and what each entry must have
_INSTANCES = {
    "images": ("id", "file_name", "height", "width"),
    "annotations": ("id", "category_id", "segmentation"),
    "categories": ("id", "name"),
}


@dataclass(frozen=True)
class _Referent:
    """An annotation to which sentences point. `segmentation` is COCO's, `size` is (H, W) of its image."""

    ref_id: int
    image: Path
    sentences: tuple[str, ...]
    segmentation: Any
    size: tuple[int, int]
    category: int


class RefCOCO(PerceptionDataset):
    """Photos with sentences that each point to one object, and that object's mask.

    Training: one sample per ref, with all its sentences. Validation: one sample per sentence.

    Args:
        split: ``train`` or ``val``.
        root: the folder above.
        name: ``refcoco``, ``refcoco+`` or ``refcocog``.
        split_by: who defined the splits: ``unc``, ``google`` or ``umd``; None for ``unc``, with RefCOCOg ``umd``.
        val: which of the published splits is evaluated: ``val``, ``testA``, ``testB`` or ``test``.
        expression_length: tokens to which a sentence is padded or cut; 40 as published, 77 for RefCOCOg (methods.md 1.2).
        diagnostics: collects problems.

    Refs without a sentence, and refs whose image is not on disk, are left out.

    Raises:
        ConfigError: there is no data set of that name.
        DataError: a folder or file is missing or damaged, or no ref is left.
    """

    provides = ("referent",)
    one_size = False

    def __init__(
        self,
        split: Split,
        root: str,
        name: str = "refcoco",
        split_by: str | None = None,
        val: str = "val",
        expression_length: Length = 40,
        diagnostics: Diagnostics = STOP,
    ) -> None:
        if name not in _SPLIT_BY:
            raise ConfigError(f"RefCOCO: there is no data set '{name}'{did_you_mean(name, _SPLIT_BY)}")
        self.split: Split = split
        self._diagnostics = diagnostics
        self._root = Path(root).expanduser()
        self._folder = self._root / name
        self._check_folders()
        refs = self._read_refs(split_by or _SPLIT_BY[name], "train" if split == "train" else val)
        instances = self._read_instances()
        found, categories = self._find(refs, instances)
        self._referents = SharedList(found)
        # the position of a referent, and its sentences in this sample
        samples: list[tuple[int, tuple[str, ...]]] = []
        for i, referent in enumerate(found):
            if split == "train":
                samples.append((i, referent.sentences))
                continue
            for sentence in referent.sentences:
                samples.append((i, (sentence,)))
        self._samples = SharedList(samples)
        self.info = DatasetInfo(name=name, classes=categories, expression_length=expression_length)

    def _check_folders(self) -> None:
        if not self._root.is_dir():
            raise DataError(
                f"RefCOCO: there is no folder '{self._root}'. Set dataset.root=/path/to/refer/data, the folder that "
                f"holds {self._folder.name}/ and {_IMAGES}/."
            )
        for folder in (self._folder, self._root / _IMAGES):
            if not folder.is_dir():
                raise DataError(
                    f"RefCOCO: there is no folder '{folder.relative_to(self._root)}' in {self._root}; it holds: "
                    f"{_listing(self._root)}."
                )

    def _read_refs(self, split_by: str, split: str) -> list[dict[str, Any]]:
        path = self._folder / f"refs({split_by}).p"
        if not path.is_file():
            raise DataError(
                f"RefCOCO: no '{path.name}' in {self._folder}, which holds: {_listing(self._folder)}. Set "
                "dataset.split_by to what stands in brackets."
            )
        refs = read_refs(path)
        by_split: dict[str, list[dict[str, Any]]] = {}
        for ref in refs:
            by_split.setdefault(str(ref["split"]), []).append(ref)
        if split not in by_split:
            known = ", ".join(sorted(by_split)) or "nothing"
            raise DataError(f"{path}: has no refs of split '{split}'; it has {known}.")
        return by_split[split]

    def _read_instances(self) -> dict[str, Any]:
        path = self._folder / "instances.json"
        if not path.is_file():
            raise DataError(
                f"RefCOCO: no 'instances.json' in {self._folder}, which holds: {_listing(self._folder)}. It is COCO's "
                "annotation file of these images and comes with the refs."
            )
        instances = read_json(path)
        if not isinstance(instances, dict) or not all(are_entries(instances.get(key)) for key in _INSTANCES):
            raise DataError(f"{path}: is not in COCO's format; it needs the lists {', '.join(_INSTANCES)}.")
        for kind, keys in _INSTANCES.items():
            check_entries(path, f"entry of {kind}", instances[kind], keys)
        return instances

    def _find(
        self, refs: Iterable[Mapping[str, Any]], instances: Mapping[str, Any]
    ) -> tuple[list[_Referent], tuple[str, ...]]:
        """The refs with sentences and an image, and the names of the categories, sorted by id."""
        folder = self._root / _IMAGES
        images, annotations = _by_id(instances["images"]), _by_id(instances["annotations"])
        categories = _by_id(sorted(instances["categories"], key=itemgetter("id")))
        ids = list(categories)
        on_disk = Listing()
        found, absent, unused = [], "", []
        for ref in refs:
            sentences = tuple(filter(None, map(_sentence, ref["sentences"])))
            if not sentences:
                continue
            annotation, image = annotations.get(ref["ann_id"]), images.get(ref["image_id"])
            if annotation is None or image is None:
                self._report_unknown(ref, annotation is None)
                continue
            file = _image_file(folder, image, ref, on_disk)
            if file is None:
                absent = absent or f", such as {image['file_name']}"
                unused.append(f"RefCOCO: ref of '{image['file_name']}' is left out: the image is not in {folder}.")
                continue
            found.append(
                _Referent(
                    ref_id=ref.get("ref_id", -1),
                    image=file,
                    sentences=sentences,
                    segmentation=annotation["segmentation"],
                    size=(image["height"], image["width"]),
                    category=_position(ids, annotation["category_id"]),
                )
            )
        if not found:
            raise DataError(
                f"RefCOCO: none of the images of {self._folder.name} is in {folder}{absent}. They are COCO's train2014 "
                "images."
            )
        self._diagnostics.unused(unused)
        return found, tuple(map(itemgetter("name"), categories.values()))

    def _report_unknown(self, ref: Mapping[str, Any], lacks_annotation: bool) -> None:
        named = f"annotation {ref['ann_id']}" if lacks_annotation else f"image {ref['image_id']}"
        self._diagnostics.problem(
            f"{self._folder / 'instances.json'}: has no {named}, which ref {ref.get('ref_id')} names; the refs and "
            "instances.json must come from the same download."
        )

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        number, sentences = self._samples[index]
        referent = self._referents[number]
        image = read_image(referent.image)
        if image.shape[:2] != referent.size:
            raise DataError(
                f"{referent.image}: is {image.shape[1]}x{image.shape[0]} pixels, {self._folder / 'instances.json'} says "
                f"{referent.size[1]}x{referent.size[0]}."
            )
        return Sample(
            path=str(referent.image),
            image=image,
            targets={"referent": self.target(index)},
            expressions=sentences,
            category=referent.category,
            files=(referent.image,),
        )

    def target(self, index: int) -> NDArray[np.uint8]:
        referent = self._referents[self._samples[index][0]]
        try:
            return _decode(referent.segmentation, *referent.size)
        except Exception as error:  # the decoder raises nearly anything on other structures
            raise DataError(
                f"{self._folder / 'instances.json'}: the segmentation of ref {referent.ref_id} is neither polygons nor "
                f"run lengths ({error or type(error).__name__})."
            ) from error


def _sentence(entry: Mapping[str, Any]) -> str:
    """The sentence as it was written, which the published code encodes; else its cleaned form."""
    return str(entry.get("raw") or entry.get("sent") or "").strip()


def _by_id(entries: Iterable[Mapping[str, Any]]) -> dict[Any, Mapping[str, Any]]:
    return {entry["id"]: entry for entry in entries}


def _position(ids: Sequence[Any], number: Any) -> int:
    """The position of an id; -1 if it is not among them."""
    return ids.index(number) if number in ids else -1


def _image_file(folder: Path, image: Mapping[str, Any], ref: Mapping[str, Any], on_disk: Listing) -> Path | None:
    """The image of a ref; refs append the number of the annotation to its name: ``COCO_..._000000581857_16.jpg``."""
    given = str(ref.get("file_name", ""))
    for name in (str(image["file_name"]), given, re.sub(r"_\d+(?=\.\w+$)", "", given)):
        if name and folder / name in on_disk:
            return folder / name
    return None


def _decode(segmentation: Any, height: int, width: int) -> NDArray[np.uint8]:
    """(H, W) uint8 0/1 from COCO's polygons (their union), or run lengths, compressed or not."""
    if isinstance(segmentation, list):
        runs = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        runs = coco_mask.frPyObjects(segmentation, height, width)
    else:
        runs = segmentation
    mask: NDArray[np.uint8] = coco_mask.decode(runs)
    return mask


def _listing(folder: Path) -> str:
    return ", ".join(sorted(os.listdir(folder))) or "nothing"
