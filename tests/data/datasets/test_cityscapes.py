"""Cityscapes in its true layout, written by the test, and a real frame where the machine has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffperc.data import Cityscapes
from diffperc.data.datasets.cityscapes import CLASSES
from diffperc.engine.build import build_preprocess, build_protocol
from diffperc.errors import DataError
from diffperc.targets import MaskTarget
from diffperc.tasks.segmentation import SegmentationProtocol
from tests.contracts.dataset import DatasetContract
from tests.fakes.cityscapes import write_frame, write_root
from tests.helpers import SHARED, composed

REAL = SHARED / "cityscapes"
NOT_COUNTED = {*range(7), 9, 10, 14, 15, 16, 18, 29, 30}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


def test_the_19_classes_are_numbered_and_the_others_not_counted(root: Path) -> None:
    train, val = (Cityscapes(split, str(root)) for split in ("train", "val"))
    assert [Path(train[i].path).parent.name for i in range(len(train))] == ["aachen", "zurich"]
    assert (set(np.unique(train.target(0))), set(np.unique(val.target(0)))) == ({13}, {0})
    mask = train[1].targets["mask"]
    assert mask is not None
    assert mask.dtype == np.uint8
    numbered = mask.reshape(-1)[::8].tolist()  # by id
    assert {i for i, c in enumerate(numbered) if c == 255} == NOT_COUNTED
    assert [c for c in numbered if c != 255] == list(range(19))
    assert (numbered[11], numbered[23], numbered[33]) == (2, 10, 18)


def test_info_and_the_protocol_of_the_configuration(root: Path) -> None:
    val = Cityscapes("val", str(root))
    assert (val.info.name, val.provides, val.info.classes) == ("cityscapes", ("mask",), CLASSES)
    assert len(CLASSES) == 19
    assert [CLASSES[i] for i in (0, 2, 10, 13, 18)] == ["road", "building", "sky", "car", "bicycle"]
    cfg = composed("task=segmentation", "dataset=cityscapes", "backbone=sd15")
    assert build_preprocess(cfg).short_side is None
    assert build_protocol(cfg) == SegmentationProtocol("cityscapes_ss", window=1024, stride=512, flip=False)


def test_what_is_missing_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder '.*nothing'. Set dataset.root=/path/to/cityscapes"):
        Cityscapes("val", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match=r"There is no file \*_leftImg8bit\.png in .*leftImg8bit.val\."):
        Cityscapes("val", str(tmp_path))
    (root / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(
        DataError,
        match=r"aachen_000000_000019_leftImg8bit\.png: there is no '.*gtFine.train.aachen.*_labelIds\.png' to go",
    ):
        Cityscapes("train", str(root))


def test_bad_masks_are_named(root: Path) -> None:
    """255 is -1 in eight bits; 34 is no id at all."""
    ids = np.full((17, 16), 7, np.uint8)
    ids[0, 0] = 255
    file = write_frame(root, "val", "frankfurt_000000_000294", ids)
    val = Cityscapes("val", str(root))
    assert (val.target(0)[0, 0], val.target(0)[0, 1]) == (255, 0)
    ids[0, 0] = 34
    Image.fromarray(ids).save(file)
    with pytest.raises(
        DataError,
        match=r"labelIds\.png: holds class id 34; the data set has 19 classes \(7-8, 11-13, 17, 19-28, 31-33\), and "
        r"0-6, 9-10, 14-16, 18, 29-30, 255 for pixels that are not counted\.",
    ):
        val[0]
    Image.fromarray(np.full((9, 16), 7, np.uint8)).save(file)
    with pytest.raises(DataError, match=r"labelIds\.png: mask is 16x9 pixels, its image .*_leftImg8bit\.png is 16x17"):
        val[0]


def test_the_real_frame() -> None:
    """The classes are those of the file of train ids but for a few pixels on edges: both were made small on their own."""
    if not REAL.is_dir():
        pytest.skip("a real frame of Cityscapes is not on this machine")
    val = Cityscapes("val", str(REAL))
    assert len(val) == 1
    assert val[0].image.shape == (128, 256, 3)
    official = next((REAL / "gtFine/val/frankfurt").glob("*_labelTrainIds.png"))
    assert (val.target(0) == np.asarray(Image.open(official))).mean() > 0.995


class TestCityscapes(DatasetContract):
    kind = Cityscapes
    target = MaskTarget()
