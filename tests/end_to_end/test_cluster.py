"""Runs on a cluster: a job that is requeued, a sweep that is typed again, a loader process that is killed."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from diffperc.commands.train import train_run
from diffperc.foreign import translated
from tests.helpers import call, composed

SMALL = [
    *("dataset.size=[64,64]", "dataset.train_size=8", "dataset.val_size=2", "recipe.batch_size=4", "recipe.epochs=-1"),
    *("recipe.val_every_steps=2", "recipe.val_every_epochs=null", "strategy=unconditional", "trainer.accelerator=cpu"),
]


@pytest.mark.slow
def test_a_job_of_slurm_is_requeued_by_lightnings_plugin_and_continues(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (tools / "scontrol").chmod(0o755)
    slurm = {"NTASKS": "1", "JOB_ID": "77", "JOB_NAME": "mine", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    environment = {
        **os.environ,
        **{f"SLURM_{name}": value for name, value in slurm.items()},
        "SLURM_JOB_NODELIST": "localhost",
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "diffperc.train", *SMALL, "recipe.steps=40", "num_workers=1"]
    first = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("runs/slurm/77-*/checkpoints/last.ckpt")):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.1)
    first.send_signal(signal.SIGUSR1)
    while not (tmp_path / "asked").is_file():
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.1)
    assert (tmp_path / "asked").read_text() == "requeue 77\n"
    first.send_signal(signal.SIGTERM)  # as SLURM does then
    said, _ = first.communicate(timeout=100)
    assert first.returncode == 143, said
    (last,) = tmp_path.glob("runs/slurm/*/checkpoints/last.ckpt")
    steps = torch.load(last, weights_only=True)["global_step"]
    assert 2 <= steps < 40
    assert sorted(file.name for file in last.parent.iterdir()) == ["best.safetensors", "last.ckpt"]
    again = environment | {"SLURM_RESTART_COUNT": "1"}
    second = subprocess.run(command, cwd=tmp_path, env=again, capture_output=True, text=True, timeout=200)
    assert second.returncode == 0, second.stderr
    assert f"resuming from {last}, after step {steps}" in second.stdout
    assert torch.load(last, weights_only=True)["global_step"] == 40


@pytest.mark.slow
def test_a_sweep_that_is_typed_again_skips_what_is_finished(tmp_path: Path) -> None:
    typed = ["-m", *SMALL, "num_workers=0", "recipe.steps=2", "recipe.lr=1e-3,2e-3", "hydra.sweep.dir=sweep"]
    call("train", *typed, cwd=tmp_path)
    # the second ended without a score, which is no success
    file = tmp_path / "sweep/1/summary.json"
    summary = json.loads(file.read_text())
    file.write_text(json.dumps(summary | {"metrics": dict.fromkeys(summary["metrics"])}))
    said = call("train", *typed, "resume=auto", cwd=tmp_path).stdout
    assert said.count("is finished, and skipped") == 1
    assert "sweep/0: is finished, and skipped" in said
    assert json.loads(file.read_text())["metrics"] == summary["metrics"]


def test_a_loader_process_that_is_killed_is_a_sentence(tmp_path: Path) -> None:
    class Kills(L.Callback):
        def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
            if trainer.global_step == 3:
                for child in multiprocessing.active_children():
                    child.kill()

    cfg = composed(
        *SMALL, "num_workers=1", "recipe.steps=40", "recipe.val_every_steps=20", "checkpoint.every_minutes=1e-9"
    )
    # which of them is a matter of what the process was at when it was killed
    with pytest.raises((RuntimeError, OSError, EOFError)) as caught:
        train_run(cfg, tmp_path, {}, callbacks=[Kills()])
    mine = translated(caught.value)
    assert mine is not None
    assert mine.sentence.startswith("a loader process ended (")
    assert "lower num_workers" in mine.sentence
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] >= 2


def test_a_checkpoint_of_another_network_is_a_sentence(tmp_path: Path) -> None:
    cfg = composed(*SMALL, "num_workers=0", "recipe.steps=2")
    train_run(cfg, tmp_path / "one", {})
    other = composed(*SMALL, "num_workers=0", "recipe.steps=4", "head.filters=24", f"ckpt={tmp_path / 'one'}")
    with pytest.raises(RuntimeError) as caught:
        train_run(other, tmp_path / "two", {})
    mine = translated(caught.value)
    assert mine is not None
    assert "do not fit the model of this configuration (size mismatch for" in mine.sentence


def _gives_a_batch(queue: Any) -> None:
    queue.put(torch.zeros(10))
    time.sleep(600)


def test_a_loader_process_killed_while_its_batch_is_taken_over_is_the_same_sentence() -> None:
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_gives_a_batch, args=(queue,), daemon=True)
    process.start()
    assert queue._reader.poll(60)
    process.kill()
    process.join()
    with pytest.raises((OSError, EOFError)) as caught:
        queue.get(timeout=10)
    mine = translated(caught.value)
    assert mine is not None
    assert mine.sentence.startswith("a loader process ended (")


@pytest.mark.skipif(importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher") is not None, reason="installed")
def test_a_launcher_that_is_not_installed_is_a_sentence(tmp_path: Path) -> None:
    done = call("train", "-m", "hydra/launcher=submitit", "task=depth,pose", cwd=tmp_path, code=2)
    assert done.stderr.count("\n") == 1
    assert "which is not installed: pip install hydra-submitit-launcher." in done.stderr
