"""The trained models that come with the package."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import diffperc
from diffperc.checkpoints import load_task, trained_models
from diffperc.data import Draw, PreparedDataset, collate
from diffperc.engine.build import build_dataset, build_preprocess

# mean error of eight held-out rooms in the unit of the task, which a model that had learned little would not reach:
# a constant depth is 0.4 off, the commonest class at each place 0.33, the mean normal 37 degrees, the mean mask 0.87,
# the mean pose 0.172
LIMITS = {"depth": 0.3, "segmentation": 0.2, "normals": 25.0, "referring": 0.75, "pose": 0.165}


def test_there_is_one_of_every_task() -> None:
    assert diffperc.list_trained() == [f"tiny-{name}" for name in sorted(LIMITS)]


@pytest.mark.parametrize("name", LIMITS)
def test_it_has_learned_its_task(name: str) -> None:
    task, cfg = load_task(trained_models()[f"tiny-{name}"], needs=("dataset",))
    val = build_dataset(cfg, "val")
    data = PreparedDataset(val, build_preprocess(cfg), task.target, task.protocol.resizes_target)
    errors = []
    for i in range(8):
        batch = collate([data[Draw(i, i)]])
        with torch.inference_mode():
            errors.append(task.image_error(task.predict_batch(batch), batch))
    assert np.mean(errors) < LIMITS[name]


@pytest.mark.parametrize("name", LIMITS)
def test_its_card_says_what_it_knows_and_its_file_nothing_of_a_machine(name: str) -> None:
    file = trained_models()[f"tiny-{name}"]
    card = (file.parent / "README.md").read_text(encoding="utf-8")
    for part in (
        f'diffperc.load("tiny-{name}")',
        "rendered rooms",
        "best guess that does not look at the image",
        "license: mit",
    ):
        assert part in card
    with safe_open(file, "pt") as opened:
        said = json.dumps(opened.metadata())
    assert not re.search(r"[\"' =]/\w+/", said), "an absolute path"


def test_the_package_stays_small_enough_for_an_index() -> None:
    """A wheel is a zip file: below 30 MB."""
    package = Path(diffperc.__file__).parent
    files = [file for file in package.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert sum(len(zlib.compress(file.read_bytes(), 6)) for file in files) < 30e6
