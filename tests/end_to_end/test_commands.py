"""The entry points as a user types them, in their own processes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import diffperc
from diffperc.errors import CheckpointError
from tests.fakes.nyuv2 import write_frame
from tests.helpers import call, call_all

SMALL = [
    "recipe.steps=4",
    "recipe.val_every_steps=2",
    "recipe.batch_size=4",
    "recipe.eval_batch_size=3",
    "dataset.size=[64,64]",
    "dataset.train_size=16",
    "dataset.val_size=4",
    "num_workers=0",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short training run's folder."""
    cwd = tmp_path_factory.mktemp("cli")
    call("train", *SMALL, "strategy=vpd", "hydra.run.dir=run", "ema_decay=0.9", cwd=cwd)
    return cwd / "run"


def test_a_run_leaves_everything(run: Path) -> None:
    for name in ("config.yaml", "train.log", "metrics.csv", "summary.json"):
        assert (run / name).stat().st_size > 0, name
    assert {f.name for f in (run / "checkpoints").iterdir()} == {"best.safetensors", "last.ckpt"}
    assert [f.name for f in sorted((run / "figures").iterdir())] == ["step000002.png", "step000004.png"]
    summary = json.loads((run / "summary.json").read_text())
    assert set(summary) >= {"metrics", "baseline", "seconds", "checkpoint", "command"}
    assert summary["metrics"].keys() == summary["baseline"].keys()
    assert 0 < summary["baseline"]["val/rmse_m"] < 3
    assert summary["protocol"] == "plain"
    assert "RANDOM weights" not in (run / "train.log").read_text()


def test_evaluate_prints_the_figures_of_the_last_validation(run: Path) -> None:
    done = call("evaluate", f"ckpt={run}/checkpoints/last.ckpt", "num_workers=0", "hydra.run.dir=again", cwd=run.parent)
    trained = json.loads((run / "summary.json").read_text())["metrics"]
    found = json.loads((run.parent / "again/summary.json").read_text())["metrics"]
    assert found.keys() == trained.keys()
    for name, value in trained.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name
    assert f"{trained['val/rmse_m']:.4f}" in done.stdout


def test_predict_writes_depth_at_the_photographs_size(run: Path, tmp_path: Path) -> None:
    photos = tmp_path / "my phötos"
    photos.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (75, 130, 3), np.uint8)
    Image.fromarray(pixels).save(photos / "a room.jpg")
    Image.fromarray(pixels[:, :40, 0]).save(photos / "grey.png")
    call("predict", f"ckpt={run}/checkpoints/last.ckpt", f"input={photos}", "output=out", cwd=tmp_path)
    depth = np.load(tmp_path / "out/a room_depth.npy")
    assert depth.shape == (75, 130)
    assert depth.dtype == np.float32
    assert 0 < depth.min() < depth.max() < 10
    png = Image.open(tmp_path / "out/a room_depth.png")
    assert np.abs(np.asarray(png) - depth * 1000).max() <= 0.51
    assert png.info["counts_per_metre"] == "1000"
    drawn = np.asarray(Image.open(tmp_path / "out/a room_depth_colour.png"))[:75, :130]  # its colour bar is below
    assert drawn[np.unravel_index(depth.argmin(), depth.shape)].tolist() == [68, 1, 84]  # both ends of viridis
    assert drawn[np.unravel_index(depth.argmax(), depth.shape)].tolist() == [253, 231, 37]
    endings = ("_depth.png", "_depth.npy", "_depth.json", "_depth_colour.png")
    expected = {f"{stem}{ending}" for stem in ("a room", "grey") for ending in endings}
    assert {file.name for file in (tmp_path / "out").iterdir()} == expected
    assert json.loads((tmp_path / "out/a room_depth.json").read_text())["counts_per_metre"] == 1000
    # the same from Python
    predictor = diffperc.load(run / "checkpoints/last.ckpt")
    np.testing.assert_allclose(predictor(photos / "a room.jpg").depth, depth, rtol=1e-4)
    hall = predictor(photos / "a room.jpg", scene="hall")
    assert np.asarray(hall).shape == depth.shape


def test_a_run_goes_on_from_its_checkpoint(run: Path) -> None:
    last = run / "checkpoints/last.ckpt"
    more = [o for o in SMALL if not o.startswith("recipe.steps")] + ["recipe.steps=6", f"ckpt={last}"]
    call("train", *more, "strategy=vpd", "ema_decay=0.9", "hydra.run.dir=more", cwd=run.parent)
    assert json.loads((run.parent / "more/summary.json").read_text())["steps"] == 6


def test_a_checkpoint_of_something_else_is_refused(run: Path, tmp_path: Path) -> None:
    last = f"ckpt={run}/checkpoints/last.ckpt"
    done = call("train", last, "strategy=iedp", *SMALL, cwd=tmp_path, code=2)
    assert "is of strategy VPD, and the configuration says IEDP" in done.stderr
    done = call("train", last, "strategy=vpd", "task=segmentation", *SMALL, cwd=tmp_path, code=2)
    assert "is of task DepthTask, and the configuration says SegmentationTask" in done.stderr


def test_a_checkpoint_that_cannot_be_scored_does_not_stop_the_others(run: Path, tmp_path: Path) -> None:
    good = run / "checkpoints" / "last.ckpt"
    (tmp_path / "a.ckpt").write_text("no checkpoint")
    done = call("evaluate", f"ckpt=[a.ckpt,{good}]", "num_workers=0", "hydra.run.dir=out", cwd=tmp_path, code=2)
    assert "error: 1 of 2 checkpoints were not scored:\na.ckpt: " in done.stderr
    with (tmp_path / "out" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert "torch" in rows[0]["error"]
    assert (rows[1]["checkpoint"], rows[1]["error"]) == (str(good), "")
    trained = json.loads((run / "summary.json").read_text())["metrics"]["val/rmse_m"]
    assert float(rows[1]["rmse_m"]) == pytest.approx(trained, rel=1e-3)


def test_a_sweep_ends_in_one_table(tmp_path: Path) -> None:
    loggers = ["logger=tensorboard"]
    done = call(
        "train", "-m", "strategy=unconditional,meta_prompts", *SMALL, *loggers, "hydra.sweep.dir=sweep", cwd=tmp_path
    )
    table = (tmp_path / "sweep/table.md").read_text().splitlines()
    assert len(table) == 4
    assert "val/rmse_m" in table[0]
    assert "unconditional" in table[2]
    assert "meta_prompts" in table[3]
    assert "unconditional" in done.stdout
    assert "baseline" in done.stdout
    assert list((tmp_path / "sweep/0/tensorboard").iterdir())


TASKS = ("segmentation", "referring", "pose")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every task but depth, trained shortly, evaluated, and a photograph predicted."""
    cwd = tmp_path_factory.mktemp("tasks")
    pixels = np.random.default_rng(0).integers(0, 255, (75, 130, 3), np.uint8)
    Image.fromarray(pixels).save(cwd / "photo.png")
    small = [o for o in SMALL if "size=[" not in o] + ["dataset.size=[96,96]"]
    options = {"segmentation": [], "referring": ['expression=the red "cube"'], "pose": ["boxes=[[10,5,60,70]]"]}
    jobs = []
    for task in TASKS:
        ckpt = f"ckpt={task}/checkpoints/last.ckpt"
        jobs.append(("train", [*small, f"task={task}", "strategy=meta_prompts", f"hydra.run.dir={task}"]))
        jobs.append(("evaluate", [ckpt, "num_workers=0", f"hydra.run.dir={task}-again"]))
        jobs.append(("predict", [ckpt, "input=photo.png", "output=out", *options[task]]))
    found = call_all(jobs, cwd)
    assert [code for code, _ in found] == [0] * len(jobs), found
    return cwd


@pytest.mark.parametrize("task", TASKS)
def test_evaluating_a_task_repeats_its_last_validation(task: str, others: Path) -> None:
    summary = json.loads((others / task / "summary.json").read_text())
    assert summary["metrics"].keys() == summary["baseline"].keys()
    assert summary["choices"]["task"] == task
    assert summary["peak_memory_gb"] > 0.1
    if task == "segmentation":
        occurring = [scores["iou"] for scores in summary["classes"].values() if scores["iou"] is not None]
        assert sum(occurring) / len(occurring) == pytest.approx(summary["metrics"]["val/miou"], abs=1e-6)
    found = json.loads((others / f"{task}-again/summary.json").read_text())
    assert found["protocol"] == "plain"
    for name, value in summary["metrics"].items():
        again = found["metrics"][name]
        assert again == value if value is None else again == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert found["baseline"] == summary["baseline"]


def test_every_task_writes_its_prediction(others: Path) -> None:
    mask = np.asarray(Image.open(others / "out/photo_mask.png"))
    assert mask.shape == (75, 130)
    assert mask.max() < 15
    referent = np.asarray(Image.open(others / "out/photo_referent.png"))
    assert referent.shape == (75, 130)
    assert set(np.unique(referent)) <= {0, 255}
    (person,) = json.loads((others / "out/photo_pose.json").read_text())
    assert person["box"] == [10, 5, 60, 70]
    assert set(person["keypoints"]) >= {"nose", "left_ankle"}
    assert all(len(row) == 3 for row in person["keypoints"].values())


def test_predict_wants_an_expression_and_writes_nothing_without(others: Path) -> None:
    ckpt = "ckpt=referring/checkpoints/last.ckpt"
    done = call("predict", ckpt, "input=photo.png", "output=none", "expression=' '", cwd=others, code=2)
    assert 'give one: expression="the red cube"' in done.stderr
    assert not (others / "none").exists()


@pytest.mark.slow
def test_two_tasks_by_two_strategies_are_one_table(tmp_path: Path) -> None:
    overrides = ["task=depth,segmentation", "strategy=unconditional,vpd", "hydra.sweep.dir=sweep"]
    call("train", "-m", *overrides, *SMALL, cwd=tmp_path)
    done = call("compare", "runs=sweep", cwd=tmp_path)
    lines = (tmp_path / "sweep/comparison.md").read_text().splitlines()
    header = [c.strip() for c in lines[0].strip("|").split("|")]
    assert header[:3] == ["strategy", "depth rmse_m", "depth baseline"]
    assert {"segmentation miou", "segmentation s/step", "segmentation peak GB", "depth trainable M"} <= set(header)
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["unconditional", "vpd"]
    assert all(cell.strip() for line in lines[2:] for cell in line.strip("|").split("|"))
    assert "unconditional" in done.stdout
    assert (tmp_path / "sweep/comparison.csv").is_file()
    empty = call("compare", f"runs={tmp_path}/nothing", cwd=tmp_path, code=2)
    assert "there is no folder" in empty.stderr


BAD = {
    "strategy": (["strategy=vdp"], "strategy=vdp: there is no such strategy; did you mean 'vpd'?"),
    "none": (["logger=null"], "logger=null: name a choice: csv, tensorboard, wandb"),
    "latents": (["backbone.vae=taesd"], "this UNet was pretrained with others"),
    "encoder": (
        ["backbone.vae=no.safetensors", "backbone.pretrained=null"],
        "there is no file or folder 'no.safetensors'",
    ),
    "key": (
        ["recipe.batchsize=3"],
        "there is no key 'recipe.batchsize' in this configuration; did you mean 'batch_size'?",
    ),
    "leftover": (["strategy=vpd", "strategy.steps=3"], "there is no key 'strategy.steps'"),
    "added": (["+strategy.stepz=3"], "takes no 'stepz'; did you mean 'steps'?"),
    "type": (["strategy.steps=many"], "strategy.steps: must be a whole number, found 'many'"),
    "folder": (["dataset=nyuv2", "dataset.root=/nowhere"], "there is no folder '/nowhere'. Set dataset.root="),
    "hub": (["backbone=sd15"], "could not be downloaded"),
    "weights": (["backbone.pretrained=/no/file.ckpt"], "there is no file or folder '/no/file.ckpt'"),
    "resume": (["ckpt=nothing.ckpt"], "nothing.ckpt: there is no such file"),
    "truth": (["task=pose", "dataset=nyuv2"], "Data sets that do: coco_pose, folder, scenes"),
    "count": (
        ["recipe.batch_size=0", "recipe.eval_batch_size=all"],
        "recipe.batch_size: must be at least 1, found 0\nrecipe.eval_batch_size: must be a whole number, found 'all'",
    ),
    "accelerator": (["trainer.accelerator=tpus"], "trainer.accelerator: must be 'auto' or 'cpu'"),
    "precision": (["trainer.precision=half"], "trainer.precision: must be 'auto' or '32-true'"),
    "batch": (["recipe.batch_size=99", "dataset.train_size=8"], "fewer than recipe.batch_size=99"),
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    jobs = [("train", [*overrides, "num_workers=0"]) for overrides, _ in BAD.values()]
    return dict(zip(BAD, call_all(jobs, tmp_path_factory.mktemp("bad")), strict=True))


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_sentence_and_code_2(case: str, bad: dict[str, tuple[int, str]]) -> None:
    code, said = bad[case]
    assert code == 2
    assert said.startswith("error: ")
    assert BAD[case][1] in said
    assert "Traceback" not in said


def test_a_corrupt_image_in_the_middle_of_an_epoch_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    root = tmp_path / "nyu"
    (root).mkdir()
    lines = [write_frame(root, "sync/kitchen_1", n, (80, 100)) for n in range(100, 112)]
    (root / "train_list.txt").write_text("".join(lines))
    (root / "test_list.txt").write_text(write_frame(root, "official_splits/test/kitchen", 200, (80, 100)))
    bad = root / "sync/kitchen_1/rgb_00105.jpg"
    small = [
        "recipe.batch_size=2",
        "preprocessing.short_side=64",
        "preprocessing.crop=64",
        "num_workers=1",
        "hydra.run.dir=run",
    ]
    whole = bad.read_bytes()
    bad.write_bytes(whole[:3000])
    done = call("train", "dataset=nyuv2", f"dataset.root={root}", *small, cwd=tmp_path, code=2)
    assert f"error: {bad}: cannot be read as an image" in done.stderr
    assert "Traceback" not in done.stderr
    rescued = tmp_path / "run/checkpoints/last.ckpt"
    # it is drawn in the first epoch; unless it came first, the steps before it are kept
    assert rescued.is_file() == ("training so far is saved" in done.stdout)
    # a depth map of another size than its image
    bad.write_bytes(whole)
    depth = root / "sync/kitchen_1/sync_depth_00105.png"
    Image.open(depth).crop((0, 0, 90, 80)).save(depth)
    done = call("train", "dataset=nyuv2", f"dataset.root={root}", *small, cwd=tmp_path, code=2)
    assert (
        f"error: {depth}: depth is 90x80 pixels, its image rgb_00105.jpg is 100x80; they must be equal." in done.stderr
    )


def test_predict_and_evaluate_refuse_what_they_cannot_read(run: Path, tmp_path: Path) -> None:
    ckpt = f"ckpt={run}/checkpoints/last.ckpt"
    (tmp_path / "text.jpg").write_text("not an image")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.ckpt")
    for name in ("one/black.png", "two/black.png", "black.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name)
    wrong = {
        "text.jpg: cannot be read as an image (not an image)": ("predict", [ckpt, "input=text.jpg"]),
        "input: there is no file, folder or match for 'none/*.jpg'": ("predict", [ckpt, "input=none/*.jpg"]),
        "other.ckpt: is a file of weights, but was not written by diffperc": ("evaluate", ["ckpt=other.ckpt"]),
        "input: one/black.png and two/black.png would be written under one name": (
            "predict",
            [ckpt, "input=*/black.png"],
        ),
        "scene: 'moon' is not a label of scenes; known: bedroom": ("predict", [ckpt, "input=black.png", "scene=moon"]),
    }
    for sentence, (code, said) in zip(wrong, call_all(list(wrong.values()), tmp_path), strict=True):
        assert code == 2
        assert f"error: {sentence}" in said
    with pytest.raises(CheckpointError, match="is no file that torch has written"):
        diffperc.load(tmp_path / "text.jpg")


@pytest.mark.parametrize("module", ["train", "evaluate", "predict", "convert", "compare", "inspect"])
def test_help_loads_no_torch(module: str, tmp_path: Path) -> None:
    """What makes it instant; seconds themselves are nothing for a test."""
    code = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        f"try:\n    runpy.run_module('diffperc.{module}', run_name='__main__')\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "python -m diffperc." in done.stdout
    assert module in done.stdout
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides", [["trainer.precision=bf16-mixed"], ["trainer.accumulate_grad_batches=2"], ["logger=wandb"]]
)
def test_what_lightning_does(overrides: list[str], tmp_path: Path) -> None:
    call("train", *SMALL, *overrides, "hydra.run.dir=run", cwd=tmp_path)
    assert json.loads((tmp_path / "run/summary.json").read_text())["steps"] == 4
