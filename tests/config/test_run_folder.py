"""Run folders are new ones, and no run loses another's files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from diffperc.config.run_folder import check_free, reserve, reserved, run_folder
from diffperc.errors import ConfigError


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(reserve, [tmp_path / "day/12-00-00"] * 8))
    assert len(set(found)) == 8
    assert sorted(f.name for f in found)[:2] == ["12-00-00", "12-00-00-1"]


def test_a_configuration_has_one_folder_however_often_it_is_read(tmp_path: Path) -> None:
    cfg = OmegaConf.create({"dir": f"${{reserved:{tmp_path}/run}}", "again": "${dir}"})
    assert [cfg.dir, cfg.again, cfg.dir] == [f"{tmp_path}/run"] * 3
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match=r"the run folder .*/file/run cannot be made \(Not a directory\); run in a folder"
    ):
        reserve(tmp_path / "file" / "run")
    assert run_folder(tmp_path / "given", tmp_path) == tmp_path / "given"


def test_another_runs_checkpoints_are_not_overwritten(tmp_path: Path) -> None:
    check_free(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    last = tmp_path / "checkpoints/last.ckpt"
    last.touch()
    with pytest.raises(ConfigError, match=r"holds another run, whose last\.ckpt would be overwritten"):
        check_free(tmp_path)
    check_free(tmp_path, resumed=last)


def test_a_job_of_slurm_has_one_folder_for_all_its_processes_and_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", "task=depth"])
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    first = reserved("runs/today/12-00-00")
    assert first.is_dir()
    assert first.parent == Path("runs/slurm")
    assert first.name.startswith("77-")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert reserved("runs/today/12-00-01") == first
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    for process in ("0", "3"):
        monkeypatch.setenv("SLURM_PROCID", process)
        assert reserved("runs/tomorrow/01-00-00") == first
    monkeypatch.setattr("sys.argv", ["train", "task=pose"])  # another command of the job
    assert reserved("runs/tomorrow/01-00-00") != first
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "70")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    assert reserved("x").name.startswith("70_4-")
