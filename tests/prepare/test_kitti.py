"""From KITTI's raw drives and annotated depth to the data set: what the lists name, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from diffperc.data import KITTI
from tests.fakes.kitti import published, write_frame
from tests.prepare.tools import Server, files, pack, run, serving, times

FIRST, SECOND, UNUSED = "2011_09_26_drive_0057_sync", "2011_10_03_drive_0034_sync", "2011_09_26_drive_0099_sync"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three drives, packed as they are published beside their lists; one frame of each is in none of the lists."""
    root, lists, zips = tmp_path / "source", tmp_path / "lists", tmp_path / "zips"
    lists.mkdir()
    frames = {
        drive: [write_frame(root, drive, number, part) for number in (7, 8, 9)]
        for drive, part in ((FIRST, "train"), (SECOND, "val"), (UNUSED, "train"))
    }
    lines = [f"{line} 721.5377\n" for line in frames[FIRST][:2]]
    (lists / "eigen_train_files_with_gt.txt").write_text("".join(lines))
    image = frames[SECOND][1].split()[0]
    lines = [f"{published(frames[SECOND][0], 'val')}\n", f"{image} None 718.856\n"]
    (lists / "eigen_test_files_with_gt.txt").write_text("".join(lines))
    for drive in frames:
        members = {name: data for name, data in files(root / "raw").items() if drive in name}
        more = {
            f"{drive[:10]}/{drive}/image_03/data/0000000007.png": b"right",
            f"{drive[:10]}/{drive}/oxts/a.txt": b"a",
        }
        pack(zips / f"{drive}.zip", members | more)
    pack(zips / "data_depth_annotated.zip", files(root / "data_depth_annotated"))
    return tmp_path


@pytest.fixture
def server(source: Path) -> Iterator[Server]:
    """The bucket."""
    with serving() as server:
        for file in (source / "zips").iterdir():
            folder = "" if "depth" in file.name else f"/raw_data/{file.stem.removesuffix('_sync')}"
            server.contents[f"{folder}/{file.name}"] = file.read_bytes()
        yield server


def expected(source: Path) -> dict[str, bytes]:
    frames = ((FIRST, 7, "train"), (FIRST, 8, "train"), (SECOND, 7, "val"))
    names = [f"raw/{d[:10]}/{d}/image_02/data/{n:010d}.png" for d, n, _ in frames]
    names += [f"data_depth_annotated/{p}/{d}/proj_depth/groundtruth/image_02/{n:010d}.png" for d, n, p in frames]
    return {name: (source / "source" / name).read_bytes() for name in names}


def frames(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in files(out).items() if not name.endswith(".txt")}


def test_what_the_lists_name_is_unpacked(source: Path) -> None:
    out = source / "my dätä"
    command = ["kitti", "--archives", source / "zips", "--lists", source / "lists", "--out", out]
    result = run(*command)
    assert result.code == 0, result.err
    assert result.out == (
        f"left out: 1 of 2 frames of eigen_test_list.txt have no depth.\nready: 2 training, 1 test frames in {out}\n"
    )
    assert frames(out) == expected(source)
    train, val = (KITTI(split, str(out)) for split in ("train", "val"))
    assert [int(d[i].image[0, 0, 2]) for d in (train, val) for i in range(len(d))] == [7, 8, 7]
    assert [float(train.target(i).max()) for i in range(2)] == [12.25, 12.25]
    assert np.count_nonzero(val.target(0)) == 2
    written = times(out)
    again = run(*command)
    assert "nothing to do" in again.out
    assert times(out) == written
    alone = run("kitti", "--out", out)  # neither archives nor lists are needed any more
    assert alone.out == f"nothing to do: everything is there.\nready: 2 training, 1 test frames in {out}\n"


def test_an_interrupted_run_resumes(source: Path) -> None:
    out = source / "out"
    for i, (name, content) in enumerate(expected(source).items()):
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if i % 2:
            file.write_bytes(content if i % 3 else content[:50])
    chosen = ["--train-list", "eigen_train_files_with_gt.txt", "--test-list", "eigen_test_files_with_gt.txt"]
    archives = sorted((source / "zips").iterdir())
    assert run("kitti", "--archive", *archives, "--lists", source / "lists", *chosen, "--out", out).code == 0
    assert frames(out) == expected(source)


def test_download_fetches_the_drives_that_the_lists_name(source: Path, server: Server) -> None:
    """And removes them, unless they have a folder; what is there is not fetched."""
    out, lists = source / "out", source / "lists"
    command = ["kitti", "--lists", lists, "--out", out]
    first = source / "zips" / f"{FIRST}.zip"
    result = run(*command, "--archive", first, "--download", BUCKET=server.url)
    assert result.code == 0, result.err
    assert sorted(path for path, _ in server.requests) == [
        "/data_depth_annotated.zip",
        f"/raw_data/{SECOND.removesuffix('_sync')}/{SECOND}.zip",
    ]
    assert frames(out) == expected(source)
    assert run(*command, "--download", BUCKET=server.url).out.count("nothing to do") == 1
    assert len(server.requests) == 2
    kept = source / "kept"
    command = ["kitti", "--lists", lists, "--out", source / "other", "--download", "--archives", kept]
    assert run(*command, BUCKET=server.url).code == 0
    assert sorted(p.name for p in kept.iterdir()) == [f"{FIRST}.zip", f"{SECOND}.zip", "data_depth_annotated.zip"]
    assert frames(source / "other") == expected(source)


def test_mistakes_are_sentences(source: Path, server: Server) -> None:
    out, lists = source / "out", source / "lists"

    def error(*arguments: object) -> str:
        result = run("kitti", *arguments, "--out", out, BUCKET=server.url)
        assert result.code == 2
        return result.err.splitlines()[-1]

    assert "one list that matches '*train*.txt' is needed, found none. Correct --lists" in error()
    assert "Get the drives and data_depth_annotated.zip from https" in error("--lists", lists)
    missing = error("--lists", lists, "--archive", source / "zips/data_depth_annotated.zip")
    assert (
        f"2 archives are missing or incomplete, such as {FIRST}.zip. Give them with --archive, add --download"
        in missing
    )
    server.contents.clear()
    assert f"{FIRST}.zip: the server answers 404" in error("--lists", lists, "--download")
    assert "eigen_train_list.txt" not in files(out)  # the lists come last
    (lists / "eigen_test_files_with_gt.txt").write_text("a.png b.png\n")
    assert "the lists name 'a.png', which is not a file of KITTI's image_02" in error("--lists", lists)
    (lists / "eigen_test_files_with_gt.txt").write_text("a.png\n")
    assert "eigen_test_files_with_gt.txt: expected 'image depth [focal]', found 'a.png'" in error("--lists", lists)
