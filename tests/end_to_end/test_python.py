"""What can be called from Python, as in a notebook: names and values, no Hydra."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer

import diffperc
from diffperc import data
from diffperc.errors import CheckpointError, DiffPercError
from diffperc.types import Batch
from tests.fakes import folder as fake_folder

SMALL = {"dataset.train_size": 8, "dataset.val_size": 4, "dataset.size": [64, 64], "num_workers": 0}
NAMES = {
    "create_model",
    "evaluate",
    "list_backbones",
    "list_datasets",
    "list_experiments",
    "list_heads",
    "list_protocols",
    "list_strategies",
    "list_tasks",
    "list_trained",
    "load",
    "train",
}


class Steps(Callback):
    """Counts."""

    count = 0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.count += 1


def test_the_package_shows_what_can_be_called() -> None:
    assert set(dir(diffperc)) == set(diffperc.__all__) == NAMES | {"__version__"}
    for name in NAMES:
        function = getattr(diffperc, name)
        assert inspect.getdoc(function), name
        assert "kwargs" not in inspect.signature(function).parameters
    assert {"Scenes", "Folder", "NYUv2", "PreparedDataset"} <= set(dir(data))
    assert diffperc.list_tasks() == sorted(diffperc.list_tasks())
    assert {"depth", "segmentation", "referring", "pose"} <= set(diffperc.list_tasks())
    assert {"vpd", "iedp", "meta_prompts"} <= set(diffperc.list_strategies())
    assert "ade20k_ms" in diffperc.list_protocols()


def test_an_imported_command_does_not_hide_the_function() -> None:
    code = (
        "import diffperc, diffperc.train, diffperc.evaluate\n"
        "for call in (lambda: diffperc.train(task='dept'), lambda: diffperc.evaluate('nowhere')):\n"
        "    try:\n        call()\n    except diffperc.errors.DiffPercError as error:\n        print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "did you mean 'depth'" in done.stdout
    assert "nowhere" in done.stdout


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, diffperc; diffperc.list_tasks(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_train_twice_evaluate_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    counter = Steps()
    runs = [
        diffperc.train(
            "depth", strategy="vpd", steps=2, batch_size=4, lr=1e-3, seed=3, callbacks=[counter], overrides=SMALL
        )
        for _ in range(2)
    ]
    assert counter.count == 4
    assert runs[0].folder != runs[1].folder
    assert runs[0].metrics == runs[1].metrics  # the same seed
    assert runs[0].summary["choices"]["strategy"] == "vpd"
    assert all((run.folder / "summary.json").is_file() for run in runs)
    scored = diffperc.evaluate(runs[0].folder, num_workers=0)
    assert scored["val/rmse_m"] == pytest.approx(runs[0].metrics["val/rmse_m"], rel=1e-6)
    image = np.random.default_rng(0).integers(0, 255, (70, 50, 3)).astype(np.uint8)
    from_run, from_folder = runs[0].predictor("cpu"), diffperc.load(runs[0].folder, "cpu", which="last")
    assert np.array_equal(from_run(image), from_folder(image))
    with pytest.raises(CheckpointError, match=r"has no checkpoint 'beast'; did you mean 'best'"):
        diffperc.load(runs[0].folder, which="beast")


def test_a_run_does_not_overwrite_another_but_resumes_it(tmp_path: Path) -> None:
    options = {"strategy": "unconditional", "steps": 1, "batch_size": 2, "folder": tmp_path / "run"}
    first = diffperc.train("segmentation", overrides=SMALL | {"recipe.val_every_steps": 5}, **options)
    with pytest.raises(DiffPercError, match=r"run: holds another run, whose last\.ckpt would be overwritten"):
        diffperc.train("depth", overrides=SMALL | {"recipe.val_every_steps": 1}, **options)
    best, last = (diffperc.load(first.folder, "cpu", which) for which in ("best", "last"))
    image = np.random.default_rng(0).integers(0, 255, (70, 50, 3)).astype(np.uint8)
    assert np.array_equal(best(image), last(image))
    resumed = SMALL | {"ckpt": str(first.folder)}
    second = diffperc.train("segmentation", overrides=resumed, **options | {"steps": 2})
    assert second.summary["steps"] == 2


def test_own_data_in_a_folder_with_any_name(tmp_path: Path) -> None:
    root = fake_folder.write_root(tmp_path / "my data, v=2 [x]")
    run = diffperc.train(
        task="segmentation",
        dataset="folder",
        root=root,
        strategy="unconditional",
        steps=1,
        batch_size=2,
        folder=tmp_path / "run",
        overrides={"preprocessing.short_side": 64, "preprocessing.crop": 64, "num_workers": 0},
    )
    assert run.folder == tmp_path / "run"
    assert "val/miou" in run.metrics


def test_create_model_is_a_plain_module() -> None:
    model = diffperc.create_model(task="segmentation", strategy="vpd", classes=["road", "sky"])
    with torch.no_grad():
        dense = model.eval()(Batch(torch.rand(1, 3, 100, 70))).dense
    assert dense.shape == (1, 2, 100, 70)
    again = diffperc.create_model(task="segmentation", strategy="vpd", classes=["road", "sky"])
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"task": "dept"}, "task=dept: there is no such task; did you mean 'depth'"),
        ({"strategy": "vdp"}, "there is no such strategy; did you mean 'vpd'"),
        ({"overrides": {"recipe.lrr": 1}}, r"there is no key 'recipe\.lrr' in this configuration; did you mean 'lr'"),
        ({"lr": "fast"}, "(recipe|optimizer).lr: must be a number, found 'fast'"),
        ({"batch_size": 0}, r"recipe\.batch_size: must be at least 1, found 0"),
        ({"steps": 0}, r"recipe\.steps: must be at least 1, or -1, found 0"),
        ({"batch_size": np.int64(-2)}, r"recipe\.batch_size: must be at least 1, found -2"),
        ({"dataset": "folder", "root": "no\\where, x='s\\"}, r"no\\where, x='s\\"),
        ({"task": "pose", "overrides": {"preprocessing.person_crop": None}}, r"preprocessing\.person_crop: the target"),
        ({"overrides": {"preprocessing.size": [3]}}, r"preprocessing\.size: must be a list of 2"),
    ],
)
def test_mistakes_are_sentences(
    given: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DiffPercError, match=sentence):
        diffperc.train(**given)
