"""The GPU's figures are made by a script that is tried on a CPU."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/gpu_figures.py"


@pytest.mark.slow
def test_what_there_is_time_for_is_measured_and_the_rest_is_named(tmp_path: Path) -> None:
    how = ["--device", "cpu", "--backbone", "tiny", "--images", "1", "--out", str(tmp_path)]
    run = [sys.executable, str(SCRIPT), *how, "--minutes"]
    done = subprocess.run([*run, "60", "--only", "depth vpd forward"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "KITTI's windows of an image, 32-true:" in done.stdout
    (table,) = tmp_path.glob("benchmark-*.csv")
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert [row["precision"] for row in rows][:4] == ["32-true", "32-true", "bf16-true", "bf16-true"]
    assert float(rows[0]["max_rel_deviation"]) < 1e-4
    late = subprocess.run([*run, "0"], capture_output=True, text=True, cwd=tmp_path)
    assert late.returncode == 0, late.stderr
    assert late.stdout.count("no time was left for ") == 9
    assert "no time was left for referring vpd compile" in late.stdout


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    hidden = {"CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, cwd=tmp_path, env=hidden)
    assert (done.returncode, done.stdout) == (0, "skipped: torch finds no GPU here.\n")
