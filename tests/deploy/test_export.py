"""Exported models compute what the models compute, without torch. Tracing a model takes a minute, hence slow tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import diffperc
from diffperc.deploy.exported import KEY
from diffperc.errors import CheckpointError, ConfigError
from diffperc.scenes import render, sample_scene
from tests.helpers import call

SOFA = {"expression": "the sofa"}
TASKS: dict[str, dict[str, Any]] = {"depth": {}, "segmentation": {}, "referring": SOFA, "pose": {}, "normals": {}}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered room of 128 x 128 pixels."""
    file = tmp_path_factory.mktemp("room") / "room.png"
    Image.fromarray(render(sample_scene(2027, 5)).image).save(file)
    return file


@pytest.fixture(scope="module")
def depth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    call("export", "ckpt=tiny-depth", "to=depth.onnx", cwd=folder)
    return folder / "depth.onnx"


def same(task: str, file: Path, room: Path, options: dict[str, Any]) -> None:
    ours = diffperc.load(f"tiny-{task}", "cpu", optimize=False)
    alone = {"flip": False} if "flip" in ours.options else {}
    expected, found = ours(room, **alone, **options), diffperc.load(file)(room, **options)
    a, b = np.asarray(expected, dtype=np.float64), np.asarray(found, dtype=np.float64)
    assert a.shape == b.shape
    if task in ("segmentation", "referring"):
        assert (a == b).mean() > 0.999
        assert np.abs(expected.probabilities - found.probabilities).max() < 2e-3  # segmentation keeps half precision
    else:
        assert np.abs(a - b).max() < 1e-3 * np.abs(a).max()
    assert expected.summary == found.summary


@pytest.mark.slow
def test_depth_is_that_of_the_model(depth: Path, room: Path) -> None:
    same("depth", depth, room, {})


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segmentation", "referring", "pose", "normals"])
def test_a_task_is_that_of_the_model(task: str, room: Path, tmp_path: Path) -> None:
    size = [] if task == "pose" else ["image_size=[128,128]"]  # which is traced faster
    told = call("export", f"ckpt=tiny-{task}", "to=model.onnx", *size, cwd=tmp_path).stdout
    assert "differs from the model by" in told
    same(task, tmp_path / "model.onnx", room, TASKS[task] if task != "pose" else {"boxes": [[30, 20, 60, 90]]})


@pytest.mark.slow
def test_other_sizes_and_numbers_of_images(depth: Path) -> None:
    session = diffperc.load(depth)._session  # type: ignore[union-attr]
    images = np.random.default_rng(0).integers(256, size=(3, 192, 256, 3), dtype=np.uint8)
    scene = np.array([-1, 0, 2])
    (together,) = session.run(None, {"image": images, "scene": scene})
    assert together.shape == (3, 1, 192, 256)
    (alone,) = session.run(None, {"image": images[1:2], "scene": scene[1:2]})
    np.testing.assert_allclose(alone[0], together[1], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_it_predicts_without_torch(depth: Path, room: Path, tmp_path: Path) -> None:
    script = (
        "import sys, diffperc\n"
        f"result = diffperc.load({str(depth)!r})({str(room)!r})\n"
        "print([str(f.name) for f in result.save('out', 'room')])\n"
        "assert not {'torch', 'transformers', 'lightning', 'albumentations'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "room_depth.npy" in done.stdout


@pytest.mark.slow
def test_predict_writes_the_files_of_the_checkpoint(depth: Path, room: Path, tmp_path: Path) -> None:
    told = call("predict", f"model={depth}", f"input={room}", "output=exported", cwd=tmp_path).stdout
    call("predict", "ckpt=tiny-depth", f"input={room}", "output=plain", "flip=false", cwd=tmp_path)
    assert "room_depth.npy" in told
    names = {file.name for file in (tmp_path / "plain").iterdir()}
    assert {file.name for file in (tmp_path / "exported").iterdir()} == names
    a, b = (np.load(tmp_path / folder / "room_depth.npy") for folder in ("plain", "exported"))
    np.testing.assert_allclose(a, b, rtol=1e-3)


@pytest.mark.slow
def test_torch_runs_its_own_format(room: Path, tmp_path: Path) -> None:
    call("export", "ckpt=tiny-depth", "to=depth.pt2", "image_size=[128,128]", cwd=tmp_path)
    about = {KEY: ""}
    program = torch.export.load(tmp_path / "depth.pt2", extra_files=about)
    assert json.loads(about[KEY])["task"] == "depth"
    pixels = torch.from_numpy(np.asarray(Image.open(room)).copy())[None]
    found = program.module()(image=pixels, scene=torch.tensor([-1]))[0, 0].detach().numpy()
    expected = diffperc.load("tiny-depth", "cpu", optimize=False)(room, flip=False)
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-3)


@pytest.mark.slow
def test_whole_numbers_take_less_and_their_loss_is_measured(tmp_path: Path) -> None:
    small = ["int8=true", "calibration=8", "score_images=8", "image_size=[128,128]"]
    told = call("export", "ckpt=tiny-depth", "to=depth.onnx", *small, cwd=tmp_path).stdout
    whole, loss = told.splitlines()[-1], told.splitlines()[-1].partition("rmse_m ")[2].split()
    assert "in whole numbers of 8 bits" in whole
    before, after = float(loss[0]), float(loss[2])
    assert after == pytest.approx(before, rel=0.25)
    assert after != before
    floats = float(told.partition("MB")[0].rsplit(" ", 2)[-2])
    assert (tmp_path / "depth.onnx").stat().st_size < 0.4e6 * floats
    diffperc.load(tmp_path / "depth.onnx")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["to=depth.bin"], "to: must end in .onnx or .pt2, found 'depth.bin'"),
        (["to=depth.pt2", "int8=true"], "int8: is of ONNX files"),
        (["to=depth.onnx", "image_size=[100,128]"], "image_size: must be multiples of 64, found [100, 128]"),
        (["to=there.onnx"], "there.onnx is there already"),
    ],
)
def test_what_cannot_be_exported_is_said(options: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "there.onnx").write_bytes(b"mine")
    told = call("export", "ckpt=tiny-depth", *options, cwd=tmp_path, code=2).stderr
    assert sentence in told
    assert (tmp_path / "there.onnx").read_bytes() == b"mine"
    assert [file.name for file in tmp_path.iterdir()] == ["there.onnx"]


@pytest.mark.slow
def test_other_files_are_refused(depth: Path, tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"not a graph")
    with pytest.raises(CheckpointError, match="cannot be read as ONNX"):
        diffperc.load(tmp_path / "no.onnx")
    with pytest.raises(CheckpointError, match="there is no such file"):
        diffperc.load(tmp_path / "none.onnx")
    model = onnx.load(depth)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(CheckpointError, match="did not write"):
        diffperc.load(tmp_path / "foreign.onnx")
    onnx.helper.set_model_props(model, {KEY: json.dumps({"format": 1, "inside": True, "task": "depth", "info": []})})
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(CheckpointError, match="what it says about its model is damaged"):
        diffperc.load(tmp_path / "damaged.onnx")
    onnx.helper.set_model_props(model, {KEY: json.dumps({"format": 1, "inside": True, "task": "os"})})
    onnx.save(model, tmp_path / "own.onnx")
    with pytest.raises(CheckpointError, match="its task is not one of depth, segmentation"):
        diffperc.load(tmp_path / "own.onnx")


@pytest.mark.slow
def test_options_that_are_not_read_are_said(depth: Path, room: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expression: this model has no such option"):
        diffperc.load(depth)(room, expression="the sofa")
    told = call("predict", f"model={depth}", f"input={room}", "device=cpu", cwd=tmp_path, code=2).stderr
    assert "device: is not read with model=..." in told
    told = call("predict", f"model={depth}", "ckpt=tiny-depth", f"input={room}", cwd=tmp_path, code=2).stderr
    assert "one of the two" in told
