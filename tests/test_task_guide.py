"""The guide to a task of one's own, run as it is written: from outside the package, through every command."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "a-task-in-one-folder.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", GUIDE, flags=re.M | re.S)
    return ["".join(line.removeprefix(indent) for line in text.splitlines(keepends=True)) for indent, text in found]


def test_the_guide_makes_a_task(tmp_path: Path) -> None:
    (tmp_path / "foreground.py").write_text("\n\n".join(blocks("python")))
    for block in blocks("yaml"):
        file = tmp_path / block.splitlines()[0].removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block)
    image = np.random.default_rng(0).integers(0, 255, (90, 70, 3)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.jpg")
    small = (
        "recipe.steps=2 recipe.batch_size=4 dataset.train_size=8 dataset.val_size=4 dataset.size=[64,64] num_workers=0"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")]),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    train, *others = blocks("bash")[0].splitlines()
    for line in (f"{train} {small}", *others):
        command = [sys.executable, *shlex.split(line)[1:]]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "runs/mine/summary.json").read_text())
    assert set(summary["metrics"]) == {"val/iou"}
    assert 0 < summary["baseline"]["val/iou"] < 1
    mask = np.asarray(Image.open(tmp_path / "predictions/photo_foreground.png"))
    assert mask.shape == (90, 70)
    assert set(np.unique(mask)) <= {0, 255}
