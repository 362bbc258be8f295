"""CamVid in its true layout, written by the test, and real frames where the machine has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffperc.data.datasets.camvid import CLASSES, CamVid
from diffperc.errors import DataError
from diffperc.files.images import read_mask
from diffperc.targets import MaskTarget
from tests.contracts.dataset import DatasetContract
from tests.fakes.camvid import write_root

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "camvid"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


def test_reads_every_form_of_the_list(root: Path) -> None:
    train, val = CamVid("train", str(root)), CamVid("val", str(root))
    assert (len(train), len(val)) == (3, 1)
    assert [int(train[i].targets["mask"][1, 1]) for i in range(3)] == [3, 8, 0]
    sample = val[0]
    assert sample.image.shape == (24, 32, 3)
    assert sample.targets["mask"].dtype == np.uint8
    assert (sample.targets["mask"][0, 0], sample.targets["mask"][1, 1]) == (255, 10)
    assert np.array_equal(val.target(0), sample.targets["mask"])
    assert train[1].path.endswith("0001TP_006720.jpg")


def test_info_names_what_there_is(root: Path) -> None:
    train = CamVid("train", str(root))
    assert (train.info.name, train.provides, train.info.classes) == ("camvid", ("mask",), CLASSES)
    assert (len(CLASSES), CLASSES[0], CLASSES[3], CLASSES[10]) == (11, "sky", "road", "bicyclist")


def test_what_is_missing_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder '.*nothing'. Set dataset.root="):
        CamVid("train", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match=r"no list 'train\.txt'"):
        CamVid("train", str(tmp_path))
    (root / "val.txt").write_text("0016E5_07961\n0016E5_99999\n")
    with pytest.raises(DataError, match=r"val\.txt, line 2: there is no '0016E5_99999' in .*val"):
        CamVid("val", str(root))
    (root / "val.txt").write_text("/x/test/a.png /x/testannot/a.png")
    with pytest.raises(DataError, match=r"val\.txt, line 1: there is no folder 'test'"):
        CamVid("val", str(root))
    (root / "val.txt").write_text("one two three")
    with pytest.raises(DataError, match=r"line 1: expected 'image mask', found 'one two three'"):
        CamVid("val", str(root))
    (root / "val.txt").write_text("\n")
    with pytest.raises(DataError, match=r"val\.txt: is empty"):
        CamVid("val", str(root))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            np.full((24, 32), 57, np.uint8),
            r"07961\.png: holds class id 57; the data set has 11 classes \(0-10\), and 11",
        ),
        (np.zeros((24, 32, 3), np.uint8), r"07961\.png: a mask holds class ids in one .* mode RGB"),
        (np.zeros((12, 10), np.uint8), r"mask is 10x12 pixels, its image 0016E5_07961\.png is 32x24"),
    ],
)
def test_bad_masks_are_named(root: Path, damage: np.ndarray, message: str) -> None:
    Image.fromarray(damage).save(root / "valannot" / "0016E5_07961.png")
    dataset = CamVid("val", str(root))
    with pytest.raises(DataError, match=message):
        dataset[0]


def test_indices_of_a_palette_are_read_not_its_colours(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 2], [2, 7, 255]], np.uint8)
    image = Image.fromarray(ids, "L").copy()
    image.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200] + [9] * 759)
    image.save(tmp_path / "m.png")
    assert Image.open(tmp_path / "m.png").mode == "P"
    assert read_mask(tmp_path / "m.png", 3, ignore=(7, 255)).tolist() == [[0, 1, 2], [2, 255, 255]]
    with pytest.raises(DataError, match=r"holds class id 7, 255; .* 3 classes \(0-2\)\. .*ignore=\[7,255\]"):
        read_mask(tmp_path / "m.png", 3)


def test_a_class_can_be_ignored(tmp_path: Path) -> None:
    """ADE20K's 0 is "other"."""
    Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", 3, ignore=(0,)).tolist() == [[255, 1, 2]]


def test_real_frames() -> None:
    """Sky is above road, and void is a small part."""
    if not REAL.is_dir():
        pytest.skip("real frames of CamVid are not on this machine")
    train, val = (CamVid(s, str(REAL)) for s in ("train", "val"))
    assert (len(train), len(val)) == (367, 101)
    assert val[0].image.shape == (360, 480, 3)
    masks = np.stack([val.target(i) for i in range(0, 101, 10)])
    assert set(np.unique(masks)) <= {*range(11), 255}
    assert (masks == 255).mean() < 0.1
    rows = np.arange(360)[None, :, None]
    assert (rows * (masks == 0)).sum() / (masks == 0).sum() < 150
    assert (rows * (masks == 3)).sum() / (masks == 3).sum() > 200


class TestCamVid(DatasetContract):
    kind = CamVid
    target = MaskTarget()
