"""From each form in which NYUv2 is published to the data set."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from PIL import Image

from diffperc.data import NYUv2
from tests.fakes.nyuv2 import SCENES, write_frame
from tests.prepare.tools import files, pack, run, times

HEIGHT, WIDTH = 30, 40
TYPES = ["bathroom", "office_kitchen", "study", "kitchen"]


def write_mat(folder: Path, field: str = "sceneTypes", names: tuple[str, ...] = tuple(TYPES)) -> list[Path]:
    """Four labelled frames as MATLAB stores them: axes reversed, strings behind references, numbers from one.

    Frame i is i + 1 metres deep, with a hole in the upper left that the field depths has filled; red is the row, green the
    column, blue the frame.
    """
    folder.mkdir(exist_ok=True)
    count = len(names)
    rows, columns = np.indices((HEIGHT, WIDTH))
    images = np.stack([np.stack([rows, columns, np.full_like(rows, 50 * i)]) for i in range(count)])
    raw = np.stack([np.full((HEIGHT, WIDTH), i + 1.0, np.float32) for i in range(count)])
    raw[:, 9, 10] = 0
    raw[:, 9, 11] = 1.2349
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as mat:
        mat["images"] = images.transpose(0, 1, 3, 2).astype(np.uint8)
        mat["rawDepths"] = raw.transpose(0, 2, 1)
        mat["depths"] = np.full((count, WIDTH, HEIGHT), 7, np.float32)
        references = []
        for i, name in enumerate(names):
            mat[f"#refs#/{i}"] = np.array([[ord(c)] for c in name], np.uint16)
            references.append(mat[f"#refs#/{i}"].ref)
        mat[field] = np.array([references], h5py.ref_dtype)
    numbers = {"trainNdxs": np.array([[3], [2]], np.uint16), "testNdxs": np.array([[1], [4]], np.uint16)}
    scipy.io.savemat(folder / "splits.mat", numbers)
    return [folder / "nyu_depth_v2_labeled.mat", folder / "splits.mat"]


def write_sync(tmp_path: Path, suffix: str, above: str = "nyu_depth_v2/sync") -> tuple[Path, Path]:
    """The shared training archive with three frames, and the folder of lists, which name two of them."""
    source, lists = tmp_path / "source", tmp_path / "lists"
    lines = [write_frame(source, f"{above}/{s}", n) for s, n in (("study_01", 150), ("cave_2", 200), ("cave_2", 201))]
    lists.mkdir()
    (lists / "nyudepthv2_train_files.txt").write_text("".join(lines[:2]).replace(above, ""))
    test = [f"/{TYPES[i]}/rgb_{i:05d}.jpg /{TYPES[i]}/sync_depth_{i:05d}.png 518.8579\n" for i in (0, 3)]
    (lists / "nyudepthv2_test_files.txt").write_text("".join(test))
    (lists / "kitti_train.txt").write_text("other\n")
    return pack(tmp_path / f"sync.{suffix}", files(source)), lists


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_shared_training_frames_and_labelled_test_frames(tmp_path: Path, suffix: str) -> None:
    sync, lists = write_sync(tmp_path, suffix)
    out, mats = tmp_path / "my dätä", write_mat(tmp_path / "mat")
    command = ["nyuv2", "--archive", sync, *mats, "--lists", lists, "--out", out]
    result = run(*command)
    assert result.code == 0, result.err
    assert result.out == f"ready: 2 training, 2 test frames in {out}; the published data set has 24231 and 654\n"
    assert not (out / "official_splits/train").exists()
    train, val = (NYUv2(s, str(out), scenes=SCENES) for s in ("train", "val"))
    assert [float(train.target(i)[5, 5]) for i in range(2)] == [1.5, 2.0]
    assert [train[i].scene for i in range(2)] == [2, -1]
    assert files(out / "sync") == files(tmp_path / "source/nyu_depth_v2/sync")
    assert [val[i].path for i in range(2)] == [
        str(out / f"official_splits/test/{name}") for name in ("bathroom/rgb_00000.jpg", "kitchen/rgb_00003.jpg")
    ]
    depth = val.target(1)
    assert depth.shape == (HEIGHT, WIDTH)
    assert (depth[9, 10], depth[9, 11], depth[20, 20]) == (0, np.float32(1.234), 4.0)  # a hole stays, fractions are cut
    image = val[1].image
    rows, columns = np.indices((HEIGHT, WIDTH))
    expected = np.stack([rows, columns, np.full_like(rows, 150)], -1)
    inner = np.s_[9:-8, 9:-10]  # jpeg's colours are half as fine
    assert np.abs(image[inner] - expected[inner]).mean() < 2
    edges = [image[:6], image[-5:], image[:, :6], image[:, -7:]]
    assert max(edge.mean() for edge in edges) < 2  # white in the file, black in what is published
    written = times(out)
    again = run(*command)
    assert again.out.startswith("nothing to do")
    assert times(out) == written
    # the archives may come one after the other, too; a published list is not replaced by one of all frames
    assert run("nyuv2", "--archive", *mats, "--out", out).out.startswith("nothing to do")
    result = run("nyuv2", "--archive", sync, "--out", out)
    assert result.out.startswith(
        f"kept: {out / 'train_list.txt'} names 2 frames, 3 are there; remove it to have it written"
    )
    assert times(out) == written


def test_labelled_frames_alone(tmp_path: Path) -> None:
    """Both splits of the one file; an interrupted run ends in the same."""
    out, mats = tmp_path / "out", write_mat(tmp_path / "mat")
    assert run("nyuv2", "--archives", tmp_path / "mat", "--out", out).code == 0
    assert (out / "train_list.txt").read_text().splitlines() == [
        f"official_splits/train/{TYPES[i]}/rgb_{i:05d}.jpg official_splits/train/{TYPES[i]}/sync_depth_{i:05d}.png"
        for i in (1, 2)
    ]
    train = NYUv2("train", str(out), scenes=SCENES)
    assert [float(train.target(i)[20, 20]) for i in range(2)] == [2.0, 3.0]
    assert [train[i].scene for i in range(2)] == [0, 2]
    whole, written = files(out), times(out)
    (out / "test_list.txt").unlink()
    (out / "official_splits/train/study/rgb_00002.jpg").unlink()
    (out / "official_splits/train/study/rgb_00002.jpg.part").write_bytes(b"x")
    assert run("nyuv2", "--archive", *mats, "--out", out).out.startswith("ready: 2 training, 2 test frames")
    assert files(out) == whole
    rest = times(out)
    changed = {"test_list.txt", "official_splits/train/study/rgb_00002.jpg"}
    assert {name for name in whole if rest[name] != written[name]} == changed


def test_scenes_with_numbers_give_their_types(tmp_path: Path) -> None:
    names = ("bathroom_0001", "../../nyu_office_0", "study_room_0005b", "kitchen_0028b")
    mats = write_mat(tmp_path / "mat", "scenes", names)
    assert run("nyuv2", "--archive", *mats, "--out", tmp_path / "out").code == 0
    scenes = {p.parent.name for p in (tmp_path / "out").rglob("*.jpg")}
    assert scenes == {"bathroom", "nyu_office", "study_room", "kitchen"}


def encoded(array: np.ndarray[Any, Any], kind: str) -> bytes:
    data = io.BytesIO()
    Image.fromarray(array).save(data, kind)
    return data.getvalue()


def row(number: int, float_depth: bool, kind: str = "jpeg", path: str | None = None) -> dict[str, Any]:
    depth: np.ndarray[Any, Any] = np.full((HEIGHT, WIDTH), number + 0.25, np.float32)
    depth[0, 0] = np.nan if float_depth else 0
    data = encoded(depth, "tiff") if float_depth else encoded((depth * 1000).astype(np.uint16), "png")
    image = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    return {"image": {"bytes": encoded(image, kind), "path": path}, "depth_map": {"bytes": data, "path": None}}


def write_shards(folder: Path) -> dict[str, list[dict[str, Any]]]:
    folder.mkdir()
    shards = {
        "train-00000-of-00002.parquet": [
            row(0, True),
            row(1, True, "png"),
            row(2, True, path="train/kitchen_01/7.jpg"),
        ],
        "train-00001-of-00002.parquet": [row(3, False), row(4, False)],
        "val-00000-of-00001.parquet": [row(5, True)],
    }
    for name, rows in shards.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / name, row_group_size=2)
    return shards


def test_parquet_shards(tmp_path: Path) -> None:
    folder, out = tmp_path / "shards", tmp_path / "out"
    shards = write_shards(folder)
    result = run("nyuv2", "--archives", folder, "--out", out)
    assert result.out.startswith(f"ready: 5 training, 1 test frames in {out}")
    train, val = (NYUv2(s, str(out), scenes=SCENES) for s in ("train", "val"))
    assert [float(train.target(i)[5, 5]) for i in range(5)] == [0.25, 1.25, 2.25, 3.25, 4.25]
    assert (val.target(0)[0, 0], val.target(0)[1, 1]) == (0, 5.25)
    assert [train[i].scene for i in range(5)] == [-1, -1, 0, -1, -1]
    rows = [r for name, rows in shards.items() if "train" in name for r in rows]
    assert [Path(train[i].path).read_bytes() for i in range(5)] == [r["image"]["bytes"] for r in rows]
    whole, written = files(out), times(out)
    assert run("nyuv2", "--archives", folder, "--out", out).out.startswith("nothing to do")
    assert times(out) == written
    for file in sorted(out.rglob("*0000[1-3].*")):
        file.unlink()
    assert run("nyuv2", "--archives", folder, "--out", out).code == 0
    assert files(out) == whole


def test_mistakes_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, mats = tmp_path / "out", write_mat(tmp_path / "mat")

    def error(*arguments: object) -> str:
        result = run("nyuv2", *arguments, "--out", out)
        assert result.code == 2
        return result.err.splitlines()[-1]

    assert "labeled.mat and splits.mat belong together" in error("--archive", mats[0])
    whole = mats[0].read_bytes()
    mats[0].write_bytes(whole[: len(whole) // 2])
    assert "is damaged, or not nyu_depth_v2_labeled.mat" in error("--archive", *mats)
    with h5py.File(mats[0], "w") as mat:
        mat["other"] = 1
    assert "is damaged, or not nyu_depth_v2_labeled.mat" in error("--archive", *mats)
    mats[0].write_bytes(whole)
    splits = mats[1].read_bytes()
    mats[1].write_bytes(b"text")
    assert "splits.mat: is not splits.mat with trainNdxs and testNdxs" in error("--archive", *mats)
    mats[1].write_bytes(splits)
    sync, lists = write_sync(tmp_path, "zip")
    assert "of the 4 files of train_list.txt are in none of the archives" in error("--archive", *mats, "--lists", lists)
    assert "one list that matches '*train*.txt' is needed, found none" in error("--archive", sync, "--lists", tmp_path)
    (lists / "nyu_train_2.txt").write_text("a b\n")
    assert "found nyu_train_2.txt, nyudepthv2_train_files.txt" in error("--archive", sync, "--lists", lists)
    shard = tmp_path / "train-0.parquet"
    grey = row(0, True)
    grey["depth_map"]["bytes"] = encoded(np.ones((4, 4), np.uint8), "png")
    pq.write_table(pa.Table.from_pylist([grey]), shard)
    assert "depth_map is an image of mode L, which holds no metres" in error("--archive", shard)
    pq.write_table(pa.table({"image": [1]}), shard)
    assert f"{shard}: is damaged, or has no images in columns image and depth_map" in error("--archive", shard)
    shard.write_bytes(b"PAR1")
    assert f"{shard}: is damaged, or has no images in columns image and depth_map" in error("--archive", shard)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert error("--archive", *mats) == "error: h5py is not installed; pip install 'diffperc[prepare]'."
