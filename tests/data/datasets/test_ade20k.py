"""ADE20K in its true layout, written by the test, and real frames where the machine has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffperc.data import ADE20K
from diffperc.data.datasets.ade20k import CLASSES
from diffperc.engine.build import build_preprocess, build_protocol
from diffperc.errors import DataError
from diffperc.targets import MaskTarget
from diffperc.tasks.segmentation import SegmentationProtocol
from tests.contracts.dataset import DatasetContract
from tests.fakes.ade20k import write_root
from tests.helpers import SHARED, composed

REAL = SHARED / "ade20k"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


def test_ids_are_the_files_less_one_and_other_is_not_counted(root: Path) -> None:
    train, val = (ADE20K(split, str(root)) for split in ("train", "val"))
    assert [Path(train[i].path).name for i in range(len(train))] == ["ADE_train_00000001.jpg", "ADE_train_00000002.jpg"]
    masks = [dataset.target(i) for dataset in (train, val) for i in range(len(dataset))]
    assert [(int(m[0, 0]), int(m[5, 5])) for m in masks] == [(255, 0), (255, 149), (255, 12)]
    assert masks[0].dtype == np.uint8
    assert train[1].image.shape == (24, 32, 3)


def test_the_root_may_be_the_inner_folder(root: Path) -> None:
    assert ADE20K("val", str(root / "ADEChallengeData2016"))[0].path == ADE20K("val", str(root))[0].path


def test_info_and_the_protocol_of_the_configuration(root: Path) -> None:
    val = ADE20K("val", str(root))
    assert (val.info.name, val.provides, val.info.classes) == ("ade20k", ("mask",), CLASSES)
    assert len(set(CLASSES)) == 150
    assert [CLASSES[i] for i in (0, 2, 7, 12, 149)] == ["wall", "sky", "bed", "person", "flag"]
    assert all(name == name.strip().lower() != "" and "," not in name for name in CLASSES)
    cfg = composed("task=segmentation", "dataset=ade20k", "backbone=sd15")
    assert build_preprocess(cfg).short_side == 512
    assert build_protocol(cfg) == SegmentationProtocol("ade20k_ss", window=512, stride=341, flip=False)


def test_what_is_missing_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder '.*nothing'. Set dataset.root=/path/to/ade20k"):
        ADE20K("train", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match=r"There is no file \*\.jpg in .*images.training\. Complete"):
        ADE20K("train", str(tmp_path))
    inner = root / "ADEChallengeData2016"
    (inner / "annotations/validation/ADE_val_00000001.png").unlink()
    with pytest.raises(DataError, match=r"There is no file \*\.png in .*annotations.validation\."):
        ADE20K("val", str(root))
    (inner / "annotations/training/ADE_train_00000002.png").unlink()
    with pytest.raises(
        DataError, match=r"images.training.ADE_train_00000002\.jpg: there is no '.*annotations.*00000002\.png' to go"
    ):
        ADE20K("train", str(root))
    (inner / "images/training/ADE_train_00000001.jpg").unlink()
    with pytest.raises(
        DataError,
        match=r"training.ADE_train_00000001\.png: there is no '.*images.*1\.jpg' to go with it",
    ):
        ADE20K("train", str(root))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            np.full((24, 32), 151, np.uint8),
            r"00001\.png: holds class id 151; the data set has 150 classes \(1-150\), and 0 for pixels that",
        ),
        (np.zeros((24, 32, 3), np.uint8), r"00001\.png: a mask holds class ids in one .* mode RGB"),
        (
            np.zeros((12, 10), np.uint8),
            r"00001\.png: mask is 10x12 pixels, its image ADE_val_00000001\.jpg is 32x24",
        ),
    ],
)
def test_bad_masks_are_named(root: Path, damage: np.ndarray, message: str) -> None:
    dataset = ADE20K("val", str(root))
    Image.fromarray(damage).save(root / "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png")
    with pytest.raises(DataError, match=message):
        dataset[0]


def test_real_frames() -> None:
    """Three photographs; each is mostly annotated, and the names of the list are those of the archive."""
    if not REAL.is_dir():
        pytest.skip("real frames of ADE20K are not on this machine")
    val = ADE20K("val", str(REAL))
    assert [val[i].image.shape[:2] for i in range(len(val))] == [(512, 683), (364, 500), (300, 400)]
    masks = [val.target(i) for i in range(3)]
    assert all((m == 255).mean() < 0.2 for m in masks)
    assert max(int(m[m < 255].max()) for m in masks) == 102  # 103 in the file
    rows = (REAL / "ADEChallengeData2016/objectInfo150.txt").read_text().splitlines()[1:]
    assert tuple(row.split("\t")[-1].split(",")[0].strip().lower() for row in rows) == CLASSES


class TestADE20K(DatasetContract):
    kind = ADE20K
    target = MaskTarget()
