"""Every task and strategy in every precision on a GPU that is not there: mistakes of device and of dtype."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import names

ROOT = Path(__file__).resolve().parents[1]
# float16 shows mistakes of device and of dtype alike; the other two are each tried with one task
ALL = [*((task, "fp16") for task in names("task")), ("depth", "bf16"), ("segmentation", "fp32")]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "precision"), ALL)
def test_nothing_is_left_on_the_cpu_or_in_another_precision(task: str, precision: str) -> None:
    """Scores of classes count them, for which values are needed; all else is known without."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.gpu", precision, task],
        capture_output=True, text=True, cwd=ROOT, timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [strategy for _, strategy, _, _ in found] == names("strategy")
    for _, strategy, _, steps in found:
        score = steps.pop("score")
        assert score in ("ok", "depends on values, which are not there"), (strategy, score)
        assert steps == dict.fromkeys(("forward", "loss", "backward", "predict"), "ok"), strategy


def test_a_mistake_is_noticed(tmp_path: Path) -> None:
    """A loss that makes a tensor on the CPU."""
    code = """
import torch, tests.fakes.gpu as gpu
pair = gpu.built("depth", "unconditional")
task = pair[0]
plain = task.loss
task.loss = lambda dense, batch: plain(dense, batch) + (dense.mean() * torch.zeros(3)).sum()
kept = gpu.install()
print(gpu.check(pair, torch.bfloat16)["loss"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "device" in done.stdout.splitlines()[-1]
    assert done.stdout.splitlines()[-1] != "ok"
