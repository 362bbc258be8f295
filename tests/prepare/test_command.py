"""The command line of data preparation: its help, its mistakes, what it imports."""

from __future__ import annotations

import errno
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from diffperc.commands.prepare import DATASETS, run
from diffperc.prepare import ade20k
from tests.prepare import tools


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m diffperc prepare`` with the packages that it imported as the last line of stdout."""
    code = (
        "import atexit, runpy, sys\n"
        "atexit.register(lambda: print(*sorted({name.partition('.')[0] for name in sys.modules})))\n"
        "sys.argv.insert(1, 'prepare')\n"
        "runpy.run_module('diffperc', run_name='__main__', alter_sys=True)\n"
    )
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["ade20k", "--help"]], ids=" ".join)
def test_help_imports_no_torch(arguments: list[str]) -> None:
    result = call(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    *shown, imported = result.stdout.splitlines()
    assert shown[0].startswith("usage: diffperc prepare")
    assert "diffperc" in imported.split()
    assert not {"torch", "numpy", "lightning", "hydra"} & set(imported.split())


@pytest.mark.parametrize("arguments", [[], ["--help"]], ids=" ".join)
def test_the_list_has_one_line_per_data_set(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run(arguments)
    lines = capsys.readouterr().out.splitlines()
    for name in DATASETS:
        module = importlib.import_module(f"diffperc.prepare.{name}")
        assert module.__doc__
        assert f"  {name:<12}{module.__doc__.splitlines()[0]}" in lines


@pytest.mark.parametrize("name", DATASETS)
def test_the_help_of_a_data_set(name: str) -> None:
    result = tools.run(name, "--help")
    assert result.code == 0
    assert result.out.startswith(f"usage: diffperc prepare {name} ")
    assert f"    diffperc prepare {name} --" in result.out
    assert "Licence:" in result.out
    assert f"the data set's root (data/{name})" in result.out
    assert ("--download" in result.out) == (name != "cityscapes")


def test_every_module_with_a_main_is_listed() -> None:
    folder = Path(ade20k.__file__).parent
    assert sorted(p.stem for p in folder.glob("*.py") if "\ndef main(" in p.read_text(encoding="utf-8")) == list(
        DATASETS
    )


def test_an_unknown_name_is_a_sentence() -> None:
    result = tools.run("kity")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: there is no data set 'kity' to prepare; did you mean 'kitti'? Known: kitti, ")


def test_a_mistake_leaves_with_2_and_without_a_traceback(tmp_path: Path) -> None:
    archive = tmp_path / "ADEChallengeData2016.zip"
    archive.write_bytes(b"PK")
    result = call("ade20k", "--archive", str(archive), "--out", str(tmp_path / "o"))
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"error: {archive}: is damaged or incomplete")
    assert "Traceback" not in result.stderr
    assert len(result.stdout.splitlines()) == 1  # the packages
    assert "torch" not in result.stdout.split()


def test_a_full_disk_is_a_sentence_and_a_mistake_of_ours_is_none() -> None:
    def fail(error: Exception) -> None:
        raise error

    full = OSError(errno.ENOSPC, "No space left on device", "a.jpg.part")
    result = tools.run("ade20k", main=lambda _: fail(full))
    assert result.code == 2
    assert result.err.startswith("error: a.jpg.part: No space left on device; free some space.")
    assert "Run the same command again to resume." in result.err
    ours = tools.run("ade20k", main=lambda _: fail(KeyError("ours")))
    assert ours.code == 1
    assert "diffperc prepare ade20k met an error that it does not foresee: KeyError: 'ours'" in ours.err
    report = Path(ours.err.partition("The traceback is in ")[2].partition(";")[0])
    assert "in fail\n    raise error\nKeyError: 'ours'" in report.read_text()
    report.unlink()
