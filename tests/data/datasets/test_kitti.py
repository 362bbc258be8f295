"""KITTI in its true layout and format, written by the test, and real frames where the machine has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffperc.data import KITTI
from diffperc.engine.build import build_preprocess, build_protocol
from diffperc.errors import DataError
from diffperc.targets import DepthTarget
from diffperc.tasks.depth import DepthProtocol
from tests.contracts.dataset import DatasetContract
from tests.fakes.kitti import write_root
from tests.helpers import SHARED, composed

REAL = SHARED / "kitti"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


def test_352_x_1216_are_cut_out_at_the_bottom_centred(root: Path) -> None:
    """375 x 1242 lose 23 rows above and 13 columns on either side."""
    sample = KITTI("train", str(root))[0]
    assert sample.image.shape == (352, 1216, 3)
    assert sample.image[0, 0].tolist() == [13, 23, 7]
    assert sample.image[-1, -1].tolist() == [(13 + 1215) % 256, 374 % 256, 7]
    assert sample.targets["depth"].dtype == np.float32
    assert sample.targets["depth"][200 - 23, 600 - 13] == 12.25
    assert sample.targets["depth"][-1, 700 - 13] == 7.0
    assert np.count_nonzero(sample.targets["depth"]) == 2  # nothing is filled in


def test_an_odd_number_of_columns_loses_the_odd_one_on_the_right(root: Path) -> None:
    """376 x 1241: 24 rows; 12 columns on the left, 13 on the right."""
    sample = KITTI("train", str(root))[1]
    assert sample.image[0, 0].tolist() == [12, 24, 8]
    assert (sample.targets["depth"][200 - 24, 600 - 12], sample.targets["depth"][-1, 700 - 12]) == (12.25, 8.0)


def test_every_form_of_the_list_finds_its_files(root: Path) -> None:
    train, val = (KITTI(split, str(root)) for split in ("train", "val"))
    assert [int(d[i].image[0, 0, 2]) for d in (train, val) for i in range(len(d))] == [7, 8, 9, 10]
    assert [float(val.target(i)[-1, 687]) for i in range(2)] == [9.0, 10.0]
    (root / "raw").rename(root / "raw_data")  # as the published lists call it
    assert KITTI("val", str(root))[0].path == str(
        root / "raw_data/2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000009.png"
    )


def test_info_and_the_protocol_of_the_configuration(root: Path) -> None:
    val = KITTI("val", str(root))
    assert (val.info.name, val.provides, val.info.max_depth, val.info.scenes) == ("kitti", ("depth",), 80.0, ())
    cfg = composed("dataset=kitti", "backbone=sd15")
    assert build_preprocess(cfg).short_side == 352
    protocol = build_protocol(cfg)
    assert isinstance(protocol, DepthProtocol)
    assert (protocol.min_depth, protocol.max_depth, protocol.windows, protocol.flip) == (0.001, 80.0, 16, True)
    shares = (0.40810811 * 352, 0.99189189 * 352, 0.03594771 * 1216, 0.96405229 * 1216)
    assert protocol.crop == tuple(int(s) for s in shares)
    assert protocol.crop_size == (352, 1216)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("only_one.png", r"line 2: expected 'image depth \[focal\]', found 'only_one.png'"),
        ("2011_09_26/a.png None 721.5377", r"line 2: names no depth \('None'\).* Remove such lines from the list"),
        (
            "raw/2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000009.png other/x.png",
            r"line 2: there is no 'other' in .*my dätä, neither in data_depth_annotated/train nor in .*/val nor in",
        ),
        (
            "2011_09_26/2011_09_26_drive_0099_sync/image_02/data/1.png x.png",
            r"line 2: there is no '2011_09_26/2011_09_26_drive_0099_sync/image_02/data' in .*raw nor in raw_data\. Download",
        ),
    ],
)
def test_a_bad_line_is_named(root: Path, line: str, message: str) -> None:
    file = root / "eigen_test_list.txt"
    file.write_text(file.read_text().splitlines()[0] + f"\n{line}\n")
    with pytest.raises(DataError, match=message):
        KITTI("val", str(root))


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        ("both", (351, 1242), r"data/0000000007\.png: is 1242x351 pixels, and 1216x352 are cut out"),
        ("both", (375, 1215), r"data/0000000007\.png: is 1215x375 pixels, and 1216x352 are cut out"),
        ("depth", (376, 1241), r"0000000007\.png: depth is 1241x376 pixels, its image 0000000007\.png is 1242x375"),
    ],
)
def test_bad_files_are_named(root: Path, kind: str, size: tuple[int, int], message: str) -> None:
    drive = "2011_09_26_drive_0057_sync"
    depth = root / f"data_depth_annotated/train/{drive}/proj_depth/groundtruth/image_02/0000000007.png"
    Image.fromarray(np.ones(size, np.uint16)).save(depth)
    if kind == "both":
        Image.fromarray(np.ones((*size, 3), np.uint8)).save(
            root / f"raw/2011_09_26/{drive}/image_02/data/0000000007.png"
        )
    dataset = KITTI("train", str(root))
    with pytest.raises(DataError, match=message):
        dataset[0]


def test_a_listed_file_that_is_missing_is_named_before_anything_is_read(root: Path) -> None:
    depth = (
        root / "data_depth_annotated/train/2011_09_26_drive_0057_sync/proj_depth/groundtruth/image_02/0000000007.png"
    )
    depth.unlink()
    with pytest.raises(DataError, match=r"line 1: there is no file '.*groundtruth/image_02/0000000007\.png'"):
        KITTI("train", str(root))


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"KITTI: no list 'eigen_test_list\.txt' in .*; it names image and depth"):
        KITTI("val", str(tmp_path))


def test_real_frames() -> None:
    """Laser beams on a few pixels in a hundred, most of them on the ground below the middle, within 80 m."""
    if not REAL.is_dir():
        pytest.skip("real frames of KITTI are not on this machine")
    val = KITTI("val", str(REAL))
    assert len(val) == 3
    for i in range(3):
        sample = val[i]
        assert sample.image.shape == (352, 1216, 3)
        measured = sample.targets["depth"] > 0
        assert 0.005 < measured.mean() < 0.1
        assert measured[176:].mean() > 2 * measured[:176].mean()
        assert 3 < np.median(sample.targets["depth"][measured]) < 30
        assert sample.targets["depth"].max() < 85


class TestKITTI(DatasetContract):
    kind = KITTI
    target = DepthTarget()
