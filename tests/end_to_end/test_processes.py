"""Two processes are one: the same images, weights and scores, also where a run continues with another number."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.fakes.nyuv2 import write_frame
from tests.helpers import call, names

pytestmark = pytest.mark.slow
COMMON = [
    *("dataset.size=[64,64]", "dataset.train_size=18", "dataset.val_size=5", "recipe.batch_size=4"),
    *("recipe.eval_batch_size=1", "recipe.epochs=-1", "recipe.val_every_steps=3", "recipe.val_every_epochs=null"),
    *("trainer.accelerator=cpu", "trainer.precision=64-true", "num_workers=1", "resume=auto", "dataset=scenes"),
]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


@pytest.mark.parametrize("task", names("task"))
def test_two_processes_are_one(task: str, tmp_path: Path) -> None:
    """In float64, where rounding does not become steps of Adam; five images of validation, so that one process has more."""
    strategy = {"depth": "meta_prompts", "normals": "unconditional", "segmentation": "iedp"}.get(task, "vpd")
    run = [*COMMON, f"task={task}", f"strategy={strategy}", "recipe.steps=6"]
    call("train", *run, "hydra.run.dir=one", cwd=tmp_path)
    call("train", *run, "hydra.run.dir=two", "trainer.devices=2", cwd=tmp_path)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-6
    metrics = [json.loads((tmp_path / name / "summary.json").read_text())["metrics"] for name in ("one", "two")]
    for name, value in metrics[0].items():
        if name.startswith("val/"):
            assert metrics[1][name] == pytest.approx(value, abs=1e-6)


def test_a_run_continues_with_another_number_of_processes(tmp_path: Path) -> None:
    run = [*COMMON, "task=depth", "strategy=unconditional", "recipe.steps=6"]
    (tmp_path / "stop.py").write_text(
        "import os, signal\nimport lightning as L\n\n\nclass StopAfter(L.Callback):\n"
        "    def __init__(self, step):\n        self.step = step\n\n"
        "    def on_train_batch_end(self, trainer, *rest):\n"
        "        if trainer.global_step == self.step and trainer.is_global_zero:\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    call("train", *run, "hydra.run.dir=whole", cwd=tmp_path)
    for step, devices in ((2, 1), (4, 2)):
        stop = ["+callbacks.stop._target_=stop.StopAfter", f"+callbacks.stop.step={step}", f"trainer.devices={devices}"]
        call("train", *run, *stop, "hydra.run.dir=parts", cwd=tmp_path, code=143)
    call("train", *run, "hydra.run.dir=parts", cwd=tmp_path)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-6


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "diffperc.train", *arguments, "trainer.devices=2", "hydra.run.dir=run"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_process_that_is_killed_ends_all_with_one_sentence(tmp_path: Path) -> None:
    process = begin(tmp_path, *COMMON, "strategy=unconditional", "recipe.steps=500", "checkpoint.every_minutes=0.001")
    last = tmp_path / "run/checkpoints/last.ckpt"
    while not last.is_file():
        assert process.poll() is None
        time.sleep(0.1)
    found = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "train_ddp_process_1"], capture_output=True, text=True
    )
    start = time.monotonic()
    subprocess.run(["kill", f"-{signal.SIGKILL.value}", found.stdout.split()[0]], check=True)
    said, _ = process.communicate(timeout=60)
    assert time.monotonic() - start < 60
    assert process.returncode == 2
    assert said.count("error: ") == 1
    assert "error: process 1 of the run was ended by SIGKILL" in said
    assert "Traceback" not in said
    assert torch.load(last, weights_only=True)["global_step"] > 0


def test_a_corrupt_image_ends_all_with_one_sentence(tmp_path: Path) -> None:
    root = tmp_path / "nyu"
    root.mkdir()
    lines = [write_frame(root, "sync/kitchen_1", n, (80, 100)) for n in range(100, 112)]
    (root / "train_list.txt").write_text("".join(lines))
    (root / "test_list.txt").write_text(write_frame(root, "official_splits/test/kitchen", 200, (80, 100)))
    bad = root / "sync/kitchen_1/rgb_00105.jpg"
    bad.write_bytes(bad.read_bytes()[:3000])
    small = ["recipe.batch_size=2", "preprocessing.short_side=64", "preprocessing.crop=64", "trainer.accelerator=cpu"]
    process = begin(tmp_path, "dataset=nyuv2", f"dataset.root={root}", *small, "num_workers=1")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert said.count("error: ") == 1
    assert f"error: {bad}: cannot be read as an image" in said
    assert "Traceback" not in said
