"""The short form of the kill tests: real processes, killed and resumed, end like one that was left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_killed_and_resumed_runs_are_the_run_that_was_left_alone(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/kill_tests.py"), "--short", "--out", str(tmp_path / "table.md")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    run, kills, _, compared, difference = (
        cell.strip() for cell in (tmp_path / "table.md").read_text().splitlines()[2].split("|")[1:-1]
    )
    assert run == "task=depth strategy=unconditional num_workers=1"
    assert int(kills) >= 1
    assert int(compared) > 2000
    assert float(difference) == 0
