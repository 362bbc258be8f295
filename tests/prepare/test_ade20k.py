"""From ADE20K's archive to the data set, and what holds for the archives of all: interruption, damage, bad members."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from diffperc.data import ADE20K
from diffperc.prepare.download import Source
from tests.fakes.ade20k import write_root
from tests.prepare.tools import files, pack, run, serving, times


@pytest.fixture
def official(tmp_path: Path) -> dict[str, bytes]:
    """The members of the archive."""
    return files(write_root(tmp_path / "source"))


@pytest.fixture
def archive(official: dict[str, bytes], tmp_path: Path) -> Path:
    return pack(tmp_path / "ADEChallengeData2016.zip", official)


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz"])
def test_the_class_reads_what_was_unpacked(official: dict[str, bytes], tmp_path: Path, suffix: str) -> None:
    archive, out = pack(tmp_path / f"ade.{suffix}", official), tmp_path / "data/ade 20k"
    result = run("ade20k", "--archive", archive, "--out", out)
    assert result.code == 0
    assert result.out == (
        f"ready: 2 training, 1 validation frames in {out}; the published data set has 20210 and 2000\n"
    )
    assert files(out) == official
    prepared, before = (ADE20K("train", str(root)) for root in (out, tmp_path / "source/my dätä"))
    assert len(prepared) == len(before) == 2
    for i in range(2):
        assert np.array_equal(prepared[i].image, before[i].image)
        assert np.array_equal(prepared.target(i), before.target(i))


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_the_second_run_does_nothing(official: dict[str, bytes], tmp_path: Path, suffix: str) -> None:
    archive, out = pack(tmp_path / f"ade.{suffix}", official), tmp_path / "out"
    assert run("ade20k", "--archive", archive, "--out", out).code == 0
    written = times(out)
    result = run("ade20k", "--archive", archive, "--out", out)
    assert result.code == 0
    assert result.out.startswith("nothing to do: everything is there.\nready: 2 training")
    assert times(out) == written


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_an_interrupted_run_resumes(official: dict[str, bytes], tmp_path: Path, suffix: str) -> None:
    """Of four states, one each: whole, missing, cut short, and a rest under the name of a part."""
    archive, out = pack(tmp_path / f"ade.{suffix}", official), tmp_path / "out"
    for i, (name, content) in enumerate(official.items()):
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if i % 4 == 0:
            file.write_bytes(content)
        elif i % 4 == 1:
            file.write_bytes(content[:-10])
        elif i % 4 == 2:
            file.with_name(f"{file.name}.part").write_bytes(b"x" * 5000)
    before = times(out)
    result = run("ade20k", "--archive", archive, "--out", out)
    assert (result.code, "nothing to do" in result.out) == (0, False)
    assert files(out) == official
    after = times(out)
    assert [after[n] == before.get(n) for n in official] == [i % 4 == 0 for i in range(len(official))]


@pytest.mark.parametrize("suffix", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../../../../evil.jpg", "..\\..\\..\\evil.jpg"])
def test_members_that_would_leave_the_folder_are_refused(tmp_path: Path, suffix: str, name: str) -> None:
    member = f"ADEChallengeData2016/images/training/{name}"
    archive = pack(tmp_path / f"ade.{suffix}", {member: b"evil"})
    result = run("ade20k", "--archive", archive, "--out", tmp_path / "out" / "ade")
    assert result.code == 2
    assert f"{archive}: its member '{member}' would be written outside of" in result.err
    assert files(tmp_path).keys() == {archive.name}


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("damage", ["half", "changed", "text"])
def test_damaged_archives_are_named(official: dict[str, bytes], tmp_path: Path, suffix: str, damage: str) -> None:
    archive = pack(tmp_path / f"ade.{suffix}", official)
    whole = archive.read_bytes()
    middle = len(whole) // 2
    changed = whole[:middle] + bytes(255 - b for b in whole[middle : middle + 40]) + whole[middle + 40 :]
    archive.write_bytes({"half": whole[:middle], "changed": changed, "text": b"<html>"}[damage])
    if (suffix, damage) == ("tar", "changed"):
        pytest.skip("a tar has no checksums of its contents")
    out = tmp_path / "out"
    result = run("ade20k", "--archive", archive, "--out", out)
    assert result.code == 2
    assert result.err.splitlines()[-1].startswith(f"error: {archive}: is damaged or incomplete (")
    assert "Fetch it again and run the same command to resume." in result.err
    assert all(official.get(name) == content for name, content in files(out).items() if not name.endswith(".part"))
    archive.write_bytes(whole)
    assert run("ade20k", "--archive", archive, "--out", out).code == 0
    assert files(out) == official


def test_what_is_missing_is_said(official: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("ade20k", "--out", out)
    assert result.code == 2
    assert (
        f"error: there is no archive: neither --archive nor {out / 'archives'} has ADEChallengeData2016.zip"
        in result.err
    )
    assert "or add --download" in result.err
    result = run("ade20k", "--out", out, "--archive", tmp_path / "away.zip")
    assert (result.code, result.err) == (2, f"error: --archive: there is no file '{tmp_path / 'away.zip'}'.\n")
    result = run("ade20k", "--out", out, "--archives", tmp_path / "away")
    assert (result.code, result.err) == (2, f"error: --archives: there is no folder '{tmp_path / 'away'}'.\n")
    other = pack(tmp_path / "other.zip", {"images/training/a.jpg": b"a"})
    result = run("ade20k", "--out", out, "--archive", other)
    assert result.code == 2
    assert f"{other}: holds no ADEChallengeData2016/images/ and annotations/" in result.err
    del official["ADEChallengeData2016/annotations/validation/ADE_val_00000001.png"]
    result = run("ade20k", "--out", out, "--archive", pack(tmp_path / "ade.zip", official))
    assert result.code == 2
    assert "There is no file *.png in" in result.err


def test_download_fetches_into_the_folder_and_unpacks(archive: Path, tmp_path: Path) -> None:
    content, out = archive.read_bytes(), tmp_path / "out"
    with serving() as server:
        server.contents["/ADEChallengeData2016.zip"] = content
        url = f"{server.url}/ADEChallengeData2016.zip"
        good = Source(url, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
        bad = Source(url, f"sha256:{'0' * 64}", len(content))
        result = run("ade20k", "--download", "--out", out, SOURCE=bad)
        assert (result.code, "is not the published one" in result.err) == (2, True)
        assert not files(out)
        assert run("ade20k", "--download", "--out", out, SOURCE=good).code == 0
        assert (out / "archives" / archive.name).read_bytes() == content
        again = run("ade20k", "--download", "--out", out, SOURCE=good)
        assert again.out.startswith("nothing to do")
        assert len(server.requests) == 2
    assert run("ade20k", "--out", out).out.startswith("nothing to do")  # the fetched archive is found
    assert run("ade20k", "--archives", tmp_path, "--out", out).out.startswith("nothing to do")
