"""A run that is stopped and resumed ends with the weights of the run that was not, bit by bit."""

from __future__ import annotations

import csv
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch

import diffperc
from diffperc.commands.train import train_run
from diffperc.config.validate import validate
from diffperc.data import Draw, ResumableLoader, SeededSampler
from diffperc.engine.checkpoint_io import AtomicCheckpointIO
from diffperc.errors import CheckpointError, ConfigError, Stopped, TrainingError
from tests.helpers import composed

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts/kill_tests.py"))
"""The names of the script that kills real processes."""
RUN = (
    "dataset.size=[64,64]",
    "dataset.train_size=14",
    "dataset.val_size=3",
    "recipe.batch_size=4",
    "recipe.eval_batch_size=1",
    "strategy=unconditional",
    "num_workers=0",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
)
BY_STEPS = ("recipe.epochs=-1", "recipe.steps=8", "recipe.val_every_steps=2", "recipe.val_every_epochs=null")
BY_EPOCHS = ("recipe.epochs=3", "recipe.steps=-1", "recipe.val_every_steps=null", "recipe.val_every_epochs=1")


class Watch(L.Callback):
    """Notes what each step reads and draws, and stops the run after one of them, or within its validation."""

    def __init__(self, stop_after: int = -1, number: int = signal.SIGTERM, in_validation: bool = False) -> None:
        self.stop_after, self.number, self.in_validation = stop_after, number, in_validation
        self.read: list[tuple[int, tuple[str, ...], float]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.read.append((trainer.global_step, tuple(m.path for m in batch.meta), float(batch.image.double().sum())))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.stop_after and not self.in_validation:
            os.kill(os.getpid(), self.number)

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
        if trainer.state.fn == "fit" and trainer.global_step == self.stop_after and self.in_validation:
            os.kill(os.getpid(), self.number)


def run(folder: Path, *overrides: str, watch: Watch | None = None) -> Watch:
    cfg = composed(*RUN, *overrides, "resume=auto")
    validate(cfg)
    watch = watch or Watch()
    train_run(cfg, folder, {}, callbacks=[watch])
    return watch


def kept(folder: Path, name: str = "last") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return content


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what differs in any bit."""
    a, b = (SCRIPT["trained"](content) for content in (one, other))
    found = sorted(a.keys() ^ b.keys())
    for name in a.keys() & b.keys():
        same = torch.equal(a[name], b[name]) if isinstance(a[name], torch.Tensor) else a[name] == b[name]
        if not same:
            found.append(name)
    return found


def stopped(folder: Path, *overrides: str, watch: Watch) -> Watch:
    with pytest.raises(Stopped):
        run(folder, *overrides, watch=watch)
    return watch


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def scores(folder: Path) -> list[tuple[str, str]]:
    return [(row["step"], row["val/rmse_m"]) for row in rows(folder) if row.get("val/rmse_m")]


CASES = {
    "steps": BY_STEPS,
    "epochs": BY_EPOCHS,
    "all": (*BY_EPOCHS, "ema_decay=0.9", "trainer.accumulate_grad_batches=2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_run_stopped_after_every_step_is_the_same_run(name: str, tmp_path: Path) -> None:
    """Steps 1 to 8 of 3 a epoch: in the middle and at the end of epochs, with and without a validation due."""
    whole = run(tmp_path / "whole", *CASES[name])
    read: list[Any] = []
    for step in range(1, 8):
        read += stopped(tmp_path / "parts", *CASES[name], watch=Watch(step)).read
        # the batch before which it stopped is read again
        read = [entry for entry in read if entry[0] < step]
        assert kept(tmp_path / "parts")["global_step"] == step
    read += run(tmp_path / "parts", *CASES[name]).read
    assert read == whole.read
    assert differences(kept(tmp_path / "whole"), kept(tmp_path / "parts")) == []
    assert scores(tmp_path / "parts") == scores(tmp_path / "whole")
    best = [(tmp_path / name / "checkpoints/best.safetensors").read_bytes() for name in ("whole", "parts")]
    assert best[0] == best[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all", "steps"])
def test_a_validation_that_was_stopped_is_done_again(name: str, tmp_path: Path) -> None:
    run(tmp_path / "whole", *CASES[name])
    stopped(tmp_path / "parts", *CASES[name], watch=Watch(6, in_validation=True))
    assert len(scores(tmp_path / "parts")) < len(scores(tmp_path / "whole"))
    run(tmp_path / "parts", *CASES[name])
    assert differences(kept(tmp_path / "whole"), kept(tmp_path / "parts")) == []
    assert scores(tmp_path / "parts") == scores(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_loader_processes_change_nothing(workers: int, tmp_path: Path) -> None:
    run(tmp_path / "whole", *BY_STEPS)
    stopped(tmp_path / "parts", *BY_STEPS, f"num_workers={workers}", watch=Watch(4))
    run(tmp_path / "parts", *BY_STEPS, f"num_workers={workers}")
    assert differences(kept(tmp_path / "whole"), kept(tmp_path / "parts")) == []


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segmentation", "referring", "pose", "normals"])
def test_every_task_resumes_exactly(task: str, tmp_path: Path) -> None:
    options = (f"task={task}", "dataset=scenes", *BY_STEPS, "recipe.steps=4")
    run(tmp_path / "whole", *options)
    stopped(tmp_path / "parts", *options, watch=Watch(1))
    stopped(tmp_path / "parts", *options, watch=Watch(3))
    run(tmp_path / "parts", *options)
    assert differences(kept(tmp_path / "whole"), kept(tmp_path / "parts")) == []


@pytest.mark.slow
def test_the_metrics_of_the_stopped_run_are_kept_and_none_is_doubled(tmp_path: Path) -> None:
    run(tmp_path / "whole", *BY_STEPS)
    stopped(tmp_path / "parts", *BY_STEPS, watch=Watch(5))
    run(tmp_path / "parts", *BY_STEPS)
    for column in ("train/loss", "val/rmse_m"):
        wanted = [(row["step"], row[column]) for row in rows(tmp_path / "whole") if row[column]]
        assert [(row["step"], row[column]) for row in rows(tmp_path / "parts") if row[column]] == wanted


@pytest.mark.slow
def test_another_number_of_accumulated_batches_reads_the_same_images(tmp_path: Path) -> None:
    """As another number of processes does: samples of a step are the same, in other batches."""
    whole = run(tmp_path / "whole", *BY_STEPS)
    first = stopped(tmp_path / "parts", *BY_STEPS, watch=Watch(4))
    second = run(tmp_path / "parts", *BY_STEPS, "trainer.accumulate_grad_batches=4")
    names: dict[int, list[str]] = {}
    for step, paths, _ in [*[r for r in first.read if r[0] < 4], *second.read]:
        names.setdefault(step, []).extend(paths)
    assert names == {step: list(paths) for step, paths, _ in whole.read}


def test_what_was_accumulated_is_taken_back_after_an_error(tmp_path: Path) -> None:
    """A loss that is not a number in the second of two batches: the statistics of batch norms have seen the first one."""

    class Poison(L.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if trainer.global_step == 3 and batch_idx % 2 == 1:
                batch.image.fill_(float("nan"))

    options = (*BY_STEPS, "trainer.accumulate_grad_batches=2")
    run(tmp_path / "whole", *options)
    cfg = composed(*RUN, *options, "resume=auto")
    with pytest.raises(TrainingError, match="the loss is"):
        train_run(cfg, tmp_path / "parts", {}, callbacks=[Poison()])
    assert kept(tmp_path / "parts")["global_step"] == 3
    run(tmp_path / "parts", *options)
    assert differences(kept(tmp_path / "whole"), kept(tmp_path / "parts")) == []


def test_a_finished_run_says_that_nothing_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path, *BY_STEPS)
    before = kept(tmp_path)
    with caplog.at_level("INFO"):
        run(tmp_path, *BY_STEPS)
    assert "nothing was trained: the run was finished" in caplog.text
    assert differences(before, kept(tmp_path)) == []


@pytest.mark.slow
def test_a_longer_run_continues_an_averaged_one_from_its_weights(tmp_path: Path) -> None:
    """The end of training must not replace the trained weights by their average. The schedule is constant here."""
    options = (*BY_STEPS, "ema_decay=0.5", "recipe.schedule.warmup=0", "recipe.schedule.power=0")
    run(tmp_path / "whole", *options)
    run(tmp_path / "parts", *options, "recipe.steps=4")
    assert len(differences(kept(tmp_path / "whole"), kept(tmp_path / "parts"))) > 0
    run(tmp_path / "parts", *options)
    assert differences(kept(tmp_path / "whole"), kept(tmp_path / "parts")) == []


def test_another_order_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopped(tmp_path, *BY_STEPS, watch=Watch(2))
    with caplog.at_level("WARNING"):
        run(tmp_path, *BY_STEPS, "seed=1")
    assert "the resumed run had seed 0 and has 1 now" in caplog.text


def test_sigusr1_writes_a_checkpoint_and_training_goes_on(tmp_path: Path) -> None:
    seen: list[int] = []

    class Look(Watch):
        def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
            super().on_train_batch_end(trainer, *rest)
            if trainer.global_step == 6:
                seen.append(kept(tmp_path)["global_step"])

    run(tmp_path, *BY_STEPS, "recipe.val_every_steps=8", watch=Look(4, signal.SIGUSR1))
    assert seen == [4]
    assert kept(tmp_path)["global_step"] == 8


def test_control_c_leaves_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Stopped) as caught:
        run(tmp_path, *BY_STEPS, watch=Watch(3, signal.SIGINT))
    assert caught.value.exit_code == 130
    assert f"hydra.run.dir={tmp_path} resume=auto" in str(caught.value)
    assert kept(tmp_path)["global_step"] == 3


def test_checkpoints_by_the_clock(tmp_path: Path) -> None:
    written: list[int] = []

    class Look(L.Callback):
        def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
            file = tmp_path / "checkpoints/last.ckpt"
            written.append(kept(tmp_path)["global_step"] if file.is_file() else 0)

    cfg = composed(*RUN, *BY_STEPS, "recipe.val_every_steps=8", "checkpoint.every_minutes=1e-9")
    train_run(cfg, tmp_path, {}, callbacks=[Look()])
    # before the first step of a run there is nothing to be kept
    assert written == [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "damage", ["flipped", *(pytest.param(d, marks=pytest.mark.slow) for d in ("cut", "empty", "text"))]
)
def test_a_damaged_checkpoint_is_skipped_with_a_sentence(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopped(tmp_path / "earlier", *BY_STEPS, watch=Watch(2))
    stopped(tmp_path, *BY_STEPS, watch=Watch(5))
    last = tmp_path / "checkpoints/last.ckpt"
    content = bytearray(last.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    last.write_bytes({"cut": content[:-1000], "flipped": content, "empty": b"", "text": b"hello"}[damage])
    with pytest.raises(CheckpointError, match=r"resume=auto finds no sound checkpoint \(last\.ckpt damaged\)"):
        run(tmp_path, *BY_STEPS)
    assert diffperc.load(tmp_path, "cpu").info.name == "scenes"
    (tmp_path / "earlier/checkpoints/last.ckpt").rename(tmp_path / "checkpoints/earlier.ckpt")
    with caplog.at_level("INFO"):
        watch = run(tmp_path, *BY_STEPS)
    assert "last.ckpt is skipped, an older checkpoint is looked for" in caplog.text
    assert watch.read[0][0] == 2


def test_a_folder_of_another_run_is_refused_without_resume(tmp_path: Path) -> None:
    stopped(tmp_path, *BY_STEPS, watch=Watch(2))
    cfg = composed(*RUN, *BY_STEPS)
    with pytest.raises(ConfigError, match="holds another run"):
        train_run(cfg, tmp_path, {})


def test_randomness_of_a_step_depends_on_seed_and_step_alone(tmp_path: Path) -> None:
    drawn: list[tuple[float, float, float]] = []

    class Draws(L.Callback):
        def on_train_batch_end(self, *rest: Any) -> None:
            drawn.append((float(torch.rand(())), float(np.random.rand()), random.random()))

    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        cfg = composed(*RUN, *BY_STEPS, "recipe.steps=2", f"seed={seed}")
        train_run(cfg, tmp_path / folder, {}, callbacks=[Draws()])
        torch.rand(7)  # what else the program draws has no influence
    assert drawn[0:2] == drawn[2:4]
    assert not set(drawn[0:2]) & set(drawn[4:6])


def test_the_loaders_state_is_what_it_has_handed_out() -> None:
    def loader(rank: int = 0, world: int = 1, batch: int = 4) -> ResumableLoader:
        sampler = SeededSampler(22, seed=3, shuffle=True, rank=rank, world=world, multiple=4)
        return ResumableLoader(
            list(range(22)), batch_size=batch, sampler=_Indices(sampler), drop_last=True, collate_fn=list
        )

    class _Indices(SeededSampler):
        """The indices alone."""

        def __init__(self, of: SeededSampler) -> None:
            self.__dict__.update(of.__dict__)

        def __iter__(self) -> Iterator[Any]:
            return (draw.index for draw in super().__iter__())

    whole = [item for batch in loader() for item in batch]
    assert len(whole) == 20
    first = loader()
    begun = iter(first)
    head = next(begun) + next(begun)
    assert first.state_dict() == {"epoch": 0, "position": 8}
    # two processes continue, each with every second sample
    tails = []
    for rank in range(2):
        part = loader(rank, world=2, batch=2)
        part.load_state_dict(first.state_dict())
        tails.append([item for batch in part for item in batch])
        assert part.state_dict() == {"epoch": 0, "position": 20}
    mixed = [item for pair in zip(*tails, strict=True) for item in pair]
    assert head + mixed == whole


def test_an_epoch_ends_with_a_whole_step() -> None:
    """22 samples in steps of 8, as 4 processes or one with accumulation share them: 16, whatever the number of processes."""
    for world in (1, 2, 4):
        parts = [list(SeededSampler(22, 0, True, rank, world, multiple=8)) for rank in range(world)]
        assert [len(part) for part in parts] == [16 // world] * world
        joined = [draw for group in zip(*parts, strict=True) for draw in group]
        assert joined == list(SeededSampler(22, 0, True, multiple=8))
        assert all(isinstance(draw, Draw) for draw in joined)


@pytest.mark.parametrize(("policy", "steps"), [pytest.param("continue", 8, marks=pytest.mark.slow), ("stop", 5)])
def test_a_write_that_fails_costs_no_sound_checkpoint(
    policy: str, steps: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Writes to last.ckpt fail from step 5 on, as a folder is in the way."""
    part = tmp_path / "checkpoints/last.ckpt.part"

    class Fails(L.Callback):
        def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
            if trainer.global_step == 5:
                part.mkdir()

    options = (*BY_STEPS, "recipe.val_every_steps=8", "checkpoint.every_minutes=1e-9")
    cfg = composed(*RUN, *options, f"checkpoint.on_failed_write={policy}")
    watch = Watch()
    with pytest.raises(TrainingError, match=r"last\.ckpt: cannot be written \(Is a dir"):
        train_run(cfg, tmp_path, {}, callbacks=[Fails(), watch])
    assert "warning: " in capsys.readouterr().out
    assert len(watch.read) - steps in (0, 1)
    assert kept(tmp_path)["global_step"] == 4
    part.rmdir()
    whole = run(tmp_path / "whole", *options)
    assert run(tmp_path, *options).read == whole.read[4:]
    assert differences(kept(tmp_path / "whole"), kept(tmp_path)) == []


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    """/dev/full has no room for anything."""
    io, file = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"state_dict": {"a": torch.ones(1000)}, "global_step": 1}, file)
    (tmp_path / "last.ckpt.part").symlink_to("/dev/full")
    io.save_checkpoint({"state_dict": {"a": torch.zeros(1000)}, "global_step": 2}, file)
    assert "No space left on device" in str(io.problem)
    assert "What was written before is kept: last.ckpt" in str(io.problem)
    assert torch.load(file, weights_only=True)["global_step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_deleted_run_folder_is_made_again(tmp_path: Path) -> None:
    class Deletes(L.Callback):
        def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
            if trainer.global_step == 3:
                shutil.rmtree(tmp_path / "run")

    cfg = composed(*RUN, *BY_STEPS)
    train_run(cfg, tmp_path / "run", {}, callbacks=[Deletes()])
    assert kept(tmp_path / "run")["global_step"] == 8


@pytest.mark.parametrize("moment", ["writing", "before the rename"])
def test_a_kill_within_a_write_leaves_the_old_checkpoint(moment: str, tmp_path: Path) -> None:
    """In a process of its own, which SIGKILL ends in the middle of the second write."""
    place = {"writing": "os.fsync", "before the rename": "os.replace"}[moment]
    code = f"""
import os, pathlib, signal, torch
from diffperc.engine.checkpoint_io import AtomicCheckpointIO
io = AtomicCheckpointIO()
content = {{"state_dict": {{"a": torch.ones(1000, 1000)}}, "global_step": 1}}
io.save_checkpoint(content, pathlib.Path({str(tmp_path)!r}) / "last.ckpt")
{place} = lambda *rest: os.kill(os.getpid(), signal.SIGKILL)
content["global_step"] = 2
io.save_checkpoint(content, pathlib.Path({str(tmp_path)!r}) / "last.ckpt")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert content["global_step"] == 1
    assert (tmp_path / "last.ckpt.part").is_file()


def test_weights_that_are_not_numbers_replace_no_checkpoint(tmp_path: Path) -> None:
    class Diverges(L.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
            if trainer.global_step == 3:
                next(p for p in pl_module.parameters() if p.requires_grad).data.fill_(float("nan"))

    cfg = composed(*RUN, *BY_STEPS, "recipe.val_every_steps=8", "checkpoint.every_minutes=1e-9")
    with pytest.raises(TrainingError, match="training has diverged: after step 3 the weights are not numbers"):
        train_run(cfg, tmp_path, {}, callbacks=[Diverges()])
    assert kept(tmp_path)["global_step"] == 2


def test_a_checkpoint_without_training_is_not_resumed_from(tmp_path: Path) -> None:
    stopped(tmp_path / "whole", *BY_STEPS, watch=Watch(1))
    content = kept(tmp_path / "whole")
    file = tmp_path / "converted.ckpt"
    torch.save({name: content[name] for name in ("state_dict", "diffperc")}, file)
    cfg = composed(*RUN, *BY_STEPS, f"ckpt={file}")
    with pytest.raises(CheckpointError, match=r"converted\.ckpt: holds a model and no training that could be resumed"):
        train_run(cfg, tmp_path / "run", {})


def test_a_best_checkpoint_that_could_not_be_written_is_an_error_at_the_end(tmp_path: Path) -> None:
    """Also where last.ckpt, written after it, could be."""

    class Blocks(L.Callback):
        def on_train_start(self, *rest: Any) -> None:
            (tmp_path / "checkpoints/best.safetensors.part").mkdir(parents=True)

    cfg = composed(*RUN, *BY_STEPS)
    with pytest.raises(TrainingError, match=r"best\.safetensors: cannot be written"):
        train_run(cfg, tmp_path, {}, callbacks=[Blocks()])
    assert kept(tmp_path)["global_step"] == 8
