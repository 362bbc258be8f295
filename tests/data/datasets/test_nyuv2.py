"""NYUv2 in its true layout and format, written by the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffperc.data import NYUv2
from diffperc.errors import DataError
from diffperc.targets import DepthTarget
from tests.contracts.dataset import DatasetContract
from tests.fakes.nyuv2 import SCENES, write_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


def test_reads_images_depth_in_metres_and_scene(root: Path) -> None:
    train = NYUv2("train", str(root), scenes=SCENES)
    assert len(train) == 3
    sample = train[0]
    assert sample.image.shape == (24, 32, 3)
    assert sample.targets["depth"].dtype == np.float32
    assert sample.targets["depth"][1, 1] == np.float32(1.5)
    assert sample.targets["depth"][0, 0] == sample.targets["depth"][0, 1] == 0  # unmeasured and saturated
    # the first name that occurs: office_kitchen is a kitchen, study_room a study, as published; cave is none
    assert [train[i].scene for i in range(3)] == [0, 2, -1]
    val = NYUv2("val", str(root), scenes=SCENES)
    assert [float(val[i].targets["depth"].max()) for i in range(2)] == [1.0, 3.0]


def test_a_wrong_root_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder '.*nothing'. Set dataset.root="):
        NYUv2("train", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match=r"no list 'train_list\.txt'"):
        NYUv2("train", str(tmp_path))


def test_a_broken_line_is_named(root: Path) -> None:
    (root / "train_list.txt").write_text("only_one_name.jpg\n")
    with pytest.raises(DataError, match=r"train_list.txt, line 1: expected 'image depth"):
        NYUv2("train", str(root))


def test_a_listed_file_that_is_missing_is_named_before_anything_is_read(root: Path) -> None:
    (root / "sync/study_room_2/sync_depth_00200.png").unlink()
    with pytest.raises(DataError, match=r"train_list\.txt, line 2: there is no file '.*sync_depth_00200\.png'"):
        NYUv2("train", str(root))


def test_a_frame_that_is_listed_twice_is_named(root: Path) -> None:
    lines = (root / "train_list.txt").read_text().splitlines()
    (root / "train_list.txt").write_text("\n".join([*lines, lines[1]]))
    with pytest.raises(DataError, match=r"line 5: names 'sync/study_room_2/rgb_00200\.jpg' again, after line 2\."):
        NYUv2("train", str(root))


@pytest.mark.parametrize("damage", ["truncated", "text", "size", "colour"])
def test_bad_files_are_named(root: Path, damage: str) -> None:
    folder = root / "sync/study_room_2"
    image, depth = folder / "rgb_00200.jpg", folder / "sync_depth_00200.png"
    if damage == "truncated":
        image.write_bytes(image.read_bytes()[:400])
        message = r"rgb_00200.jpg: cannot be read as an image \((?i:.*truncated)"
    elif damage == "text":
        image.write_text("this is a text")
        message = r"rgb_00200.jpg: cannot be read as an image \(not an image\)"
    elif damage == "size":
        Image.fromarray(np.ones((10, 12), np.uint16)).save(depth)
        message = "sync_depth_00200.png: depth is 12x10 pixels, its image rgb_00200.jpg is 32x24"
    else:
        Image.fromarray(np.ones((24, 32, 3), np.uint8)).save(depth)
        message = r"depth has one number per pixel, this file has the shape \(24, 32, 3\)"
    dataset = NYUv2("train", str(root))
    assert dataset[0].path.endswith("rgb_00150.jpg")
    with pytest.raises(DataError, match=message):
        dataset[1]


def test_real_frames(redkitchen: Path) -> None:
    """160 training and 20 test frames; the test depths are mostly between half a metre and five."""
    train, val = (NYUv2(s, str(redkitchen), scenes=SCENES) for s in ("train", "val"))
    assert (len(train), len(val)) == (160, 20)
    sample = val[0]
    assert sample.image.shape == (480, 640, 3)
    assert 0.5 < np.median(sample.targets["depth"][sample.targets["depth"] > 0]) < 5
    assert {train[0].scene, sample.scene} == {0}


class TestNYUv2(DatasetContract):
    kind = NYUv2
    target = DepthTarget()
