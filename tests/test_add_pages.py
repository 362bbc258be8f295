"""The pages docs/add/*.md, run as they stand, from outside the package.

A block of code with a title is that file; blocks with the same title follow each other in it. Each line of a bash block is a
command, run in the folder of those files, with nothing changed but the numbers that make a training small.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs/add").glob("*.md"))
FILE = re.compile(r'^```\w+ title="([^"\n]+)"\n(.*?)^```$', re.M | re.S)
COMMANDS = re.compile(r"^```bash\n(.*?)^```$", re.M | re.S)
SMALL = ["recipe.steps=2", "recipe.val_every_steps=2", "recipe.batch_size=2", "num_workers=0", "report_images=2"]
SMALL_SCENES = ["dataset.size=[64,64]", "dataset.train_size=8", "dataset.val_size=4"]


def trained_on_words(folder: Path, summary: dict[str, Any]) -> None:
    assert summary["choices"]["strategy"] == "constant"


def trained_by_the_head(folder: Path, summary: dict[str, Any]) -> None:
    assert "LinearHead" in (folder / "runs/mine/config.yaml").read_text()


def logged_what_it_measures(folder: Path, summary: dict[str, Any]) -> None:
    with (folder / "runs/mine/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for part in ("backbone", "strategy", "head"):
        norms = [float(row[f"train/gradient_norm/{part}"]) for row in rows if row[f"train/gradient_norm/{part}"]]
        assert norms
        assert all(math.isfinite(norm) and norm > 0 for norm in norms)


def scored_its_classes(folder: Path, summary: dict[str, Any]) -> None:
    assert 0 <= summary["metrics"]["val/miou"] <= 1


def extracted_by_the_backbone(folder: Path, summary: dict[str, Any]) -> None:
    assert "Pyramid" in (folder / "runs/mine/config.yaml").read_text()


def found_objects(folder: Path, summary: dict[str, Any]) -> None:
    assert set(summary["metrics"]) == {"val/iou"}
    assert 0 < summary["baseline"]["val/iou"] < 1
    mask = np.asarray(Image.open(folder / "predictions/photo_foreground.png"))
    assert mask.shape == (90, 70)
    assert set(np.unique(mask)) <= {0, 255}


CHECKS: dict[str, Callable[[Path, dict[str, Any]], None]] = {
    "backbone": extracted_by_the_backbone,
    "callback": logged_what_it_measures,
    "dataset": scored_its_classes,
    "head": trained_by_the_head,
    "strategy": trained_on_words,
    "task": found_objects,
}


def run(folder: Path, line: str) -> None:
    program, *rest = shlex.split(line)
    assert program == "python"
    if rest[:2] == ["-m", "diffperc.train"]:
        rest += [*SMALL, *([] if "dataset=" in line else SMALL_SCENES)]
    if rest[:2] == ["-m", "pytest"]:
        rest += ["-p", "no:cacheprovider", "--rootdir", str(folder)]
    path = os.pathsep.join([str(folder), str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *rest], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_works_as_it_stands(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, content in FILE.findall(text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f"{content}\n\n")
    image = np.random.default_rng(0).integers(0, 255, (90, 70, 3)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.jpg")
    for line in "".join(COMMANDS.findall(text)).splitlines():
        run(tmp_path, line)
    CHECKS[page.stem](tmp_path, json.loads((tmp_path / "runs/mine/summary.json").read_text()))
