"""NYUv2 in its true layout and format, written by the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffperc.data import NYUv2
from diffperc.errors import DataError
from diffperc.protocols import DepthProtocol
from tests.contracts.dataset import DatasetContract

PROTOCOL = DepthProtocol(
    "nyu_eigen", min_depth=1e-3, max_depth=10.0, crop=(45, 471, 41, 601), crop_size=(480, 640), windows=2, flip=True
)
SCENES = ("kitchen", "office_kitchen", "study")


def write_frame(root: Path, folder: str, number: int, size: tuple[int, int] = (24, 32)) -> str:
    """One frame: jpg and 16-bit depth of `number` centimetres; returns its line of the list."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    image, depth = f"{folder}/rgb_{number:05d}.jpg", f"{folder}/sync_depth_{number:05d}.png"
    pixels = np.random.default_rng(number).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(root / image)
    counts = np.full(size, 10 * number, np.uint16)
    counts[0, 0], counts[0, 1] = 0, 65535
    Image.fromarray(counts).save(root / depth)
    return f"{image} {depth} 518.8579\n"


def write_root(tmp_path: Path) -> Path:
    """Three training and two test frames, in a path with a space and an umlaut."""
    root = tmp_path / "my dätä"
    lines = [
        write_frame(root, f"sync/{s}", n) for s, n in (("office_kitchen_01", 150), ("study_room_2", 200), ("cave", 999))
    ]
    (root / "train_list.txt").write_text("".join(lines) + "\n")
    tests = [write_frame(root, "official_splits/test/kitchen", n) for n in (100, 300)]
    # the published lists are relative to the split's folder and begin with a slash
    (root / "test_list.txt").write_text("".join(tests).replace("official_splits/test", ""))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


def test_reads_images_depth_in_metres_and_scene(root: Path) -> None:
    train = NYUv2("train", str(root), PROTOCOL, scenes=SCENES)
    assert len(train) == 3
    sample = train[0]
    assert sample.image.shape == (24, 32, 3)
    assert sample.depth is not None
    assert sample.depth.dtype == np.float32
    assert sample.depth[1, 1] == np.float32(1.5)
    assert sample.depth[0, 0] == sample.depth[0, 1] == 0  # unmeasured and saturated
    # the first name that occurs: office_kitchen is a kitchen, study_room a study, as published; cave is none
    assert [train[i].scene for i in range(3)] == [0, 2, -1]
    val = NYUv2("val", str(root), PROTOCOL, scenes=SCENES)
    assert [float(val[i].depth.max()) for i in range(2)] == [1.0, 3.0]  # type: ignore[union-attr]


def test_a_wrong_root_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder '.*nothing'. Set dataset.root="):
        NYUv2("train", str(tmp_path / "nothing"), PROTOCOL)
    with pytest.raises(DataError, match=r"no list 'train_list\.txt'"):
        NYUv2("train", str(tmp_path), PROTOCOL)


def test_a_broken_line_is_named(root: Path) -> None:
    (root / "train_list.txt").write_text("only_one_name.jpg\n")
    with pytest.raises(DataError, match=r"train_list.txt, line 1: expected 'image depth"):
        NYUv2("train", str(root), PROTOCOL)


def test_a_listed_file_that_is_missing_is_named_before_anything_is_read(root: Path) -> None:
    (root / "sync/study_room_2/sync_depth_00200.png").unlink()
    with pytest.raises(DataError, match=r"train_list\.txt, line 2: there is no file '.*sync_depth_00200\.png'"):
        NYUv2("train", str(root), PROTOCOL)


def test_a_frame_that_is_listed_twice_is_named(root: Path) -> None:
    lines = (root / "train_list.txt").read_text().splitlines()
    (root / "train_list.txt").write_text("\n".join([*lines, lines[1]]))
    with pytest.raises(DataError, match=r"line 5: names 'sync/study_room_2/rgb_00200\.jpg' again, after line 2\."):
        NYUv2("train", str(root), PROTOCOL)


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
        message = r"depth has one number a pixel, this file has the shape \(24, 32, 3\)"
    dataset = NYUv2("train", str(root), PROTOCOL)
    assert dataset[0].path.endswith("rgb_00150.jpg")
    with pytest.raises(DataError, match=message):
        dataset[1]


def test_real_frames(redkitchen: Path) -> None:
    """160 training and 20 test frames; the test depths are mostly between half a metre and five."""
    train, val = (NYUv2(s, str(redkitchen), PROTOCOL, scenes=SCENES) for s in ("train", "val"))
    assert (len(train), len(val)) == (160, 20)
    sample = val[0]
    assert sample.image.shape == (480, 640, 3)
    assert sample.depth is not None
    assert 0.5 < np.median(sample.depth[sample.depth > 0]) < 5
    assert {train[0].scene, sample.scene} == {0}


class TestNYUv2(DatasetContract):
    kind = NYUv2
    needs = ("depth",)
