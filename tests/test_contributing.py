"""CONTRIBUTING.md's example works as it stands, from outside the package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(python|yaml)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's three files in a folder of their own."""
    folder = tmp_path_factory.mktemp("outside")
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(body) for _, body in BLOCK.findall(text)]
    names = ("constant.py", "conf/strategy/constant.yaml", "test_constant.py")
    assert len(blocks) == len(names)
    for name, block in zip(names, blocks, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(block, encoding="utf-8")
    return folder


def call(folder: Path, *command: str) -> str:
    path = os.pathsep.join([str(folder), str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=folder, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_trains(outside: Path) -> None:
    small = ["recipe.steps=1", "recipe.val_every_steps=1", "recipe.batch_size=2", "recipe.eval_batch_size=2"]
    small += ["dataset.size=[64,64]", "dataset.train_size=4", "dataset.val_size=2", "num_workers=0"]
    chosen = ["task=segmentation", "strategy=constant", "strategy.tokens=3", "hydra.run.dir=run"]
    call(outside, "diffperc.train", "--config-dir", "conf", *chosen, *small)
    summary = json.loads((outside / "run/summary.json").read_text())
    assert summary["choices"]["strategy"] == "constant"


def test_its_contract_holds(outside: Path) -> None:
    found = call(outside, "pytest", "-p", "no:cacheprovider", "--rootdir", str(outside), "test_constant.py")
    assert re.search(r"\d\d passed", found)
