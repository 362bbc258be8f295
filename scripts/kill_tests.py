"""Kill training runs, resume them until they are done, and compare the result with runs that were left alone.

    python scripts/kill_tests.py                       48 kills over eight kinds of runs, and after every step: an hour
    python scripts/kill_tests.py --short               one kind of run, 3 kills: what CI runs
    python scripts/kill_tests.py --out results/kill_tests.md

Every third kill comes while a checkpoint is being written; the others come at random moments, by SIGKILL, SIGTERM or SIGINT.
Compared are all tensors and numbers of ``last.ckpt`` that decide how training goes on: weights, averaged weights, the state
of the optimiser, the schedule, the step. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch

TRAINED = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "global_step")
COMMON = (
    *("dataset=scenes", "dataset.size=[64,64]", "dataset.train_size=22", "dataset.val_size=3", "recipe.batch_size=4"),
    *("recipe.eval_batch_size=1", "recipe.epochs=-1", "recipe.val_every_steps=4", "recipe.val_every_epochs=null"),
    *("trainer.accelerator=cpu", "trainer.log_every_n_steps=1", "checkpoint.every_minutes=1e-6", "resume=auto"),
)
TWO = "trainer.devices=2"
CASES: tuple[tuple[str, ...], ...] = (
    ("task=depth", "strategy=unconditional", "num_workers=1"),
    ("task=depth", "strategy=meta_prompts", "ema_decay=0.9", "num_workers=0"),
    ("task=segmentation", "strategy=vpd", "trainer.accumulate_grad_batches=2", "num_workers=2"),
    ("task=referring", "strategy=iedp", "num_workers=1"),
    ("task=pose", "strategy=tadp", "ema_decay=0.9", "trainer.accumulate_grad_batches=2", "num_workers=1"),
    ("task=normals", "strategy=ecodepth", "num_workers=0"),
    ("task=depth", "strategy=unconditional", "ema_decay=0.9", TWO, "num_workers=1"),
    ("task=segmentation", "strategy=unconditional", "trainer.accumulate_grad_batches=2", TWO, "num_workers=1"),
)


class KillAt(L.Callback):  # type: ignore[misc]
    """SIGKILL between two steps, after everything that is written there."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: L.Trainer, *rest: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class Row(NamedTuple):
    case: str
    kills: int
    while_writing: int
    compared: int
    difference: float


def start(folder: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "diffperc.train", *COMMON, *options, f"hydra.run.dir={folder}"]
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(
            command, env=environment, cwd=Path(__file__).parent, stdout=log, stderr=log, start_new_session=True
        )


def finish(folder: Path, options: Sequence[str]) -> None:
    code = start(folder, options).wait()
    if code:
        raise SystemExit(f"{folder}.log: a run that was not killed ended with code {code}")


def killed(folder: Path, options: Sequence[str], kills: int, draw: random.Random, first: int) -> tuple[int, int]:
    """Kill and resume a run until it is done; returns the numbers of kills, and of those within a write."""
    done = within = 0
    part, last = folder / "checkpoints/last.ckpt.part", folder / "checkpoints/last.ckpt"
    while done < kills:
        before = last.stat().st_mtime if last.is_file() else 0.0
        process = start(folder, options)
        writing = (first + done) % 3 == 0
        deadline = time.monotonic() + 300
        moment = 0.0
        while process.poll() is None and time.monotonic() < deadline:
            moved = last.is_file() and last.stat().st_mtime > before  # it has taken a step since it began
            if writing and part.exists() and (moved or not before):
                process.kill()
                within += 1
                break
            if not writing and moved:
                moment = moment or time.monotonic() + draw.uniform(0, 1.5)
                if time.monotonic() > moment:
                    process.send_signal(draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
                    break
            time.sleep(0.001)
        code = process.wait()
        end_group(process.pid)
        if code == 0:
            break
        if code not in (-signal.SIGKILL, 130, 143):
            raise SystemExit(f"{folder}.log: a run that was killed ended with code {code}")
        done += 1
    finish(folder, options)
    return done, within


def end_group(group: int) -> None:
    """Wait for the other processes of a run, which notice the end of the first."""
    for _ in range(300):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise SystemExit("processes of a killed run are still there after 30 s")


def every_step(folder: Path, options: Sequence[str], steps: int) -> tuple[int, int]:
    for step in range(1, steps):
        kill = ("+callbacks.kill._target_=kill_tests.KillAt", f"+callbacks.kill.step={step}")
        code = start(folder, [*options, *kill]).wait()
        if code != -signal.SIGKILL:
            raise SystemExit(f"{folder}.log: step {step} ended with code {code}")
    finish(folder, options)
    return steps - 1, 0


def trained(content: dict[str, Any]) -> dict[str, Any]:
    """By name, the tensors and numbers of a checkpoint that decide how training goes on."""
    pending: list[tuple[str, Any]] = [(key, content[key]) for key in TRAINED if key in content]
    found = {}
    while pending:
        path, node = pending.pop()
        if isinstance(node, dict | list | tuple):
            children = node.items() if isinstance(node, dict) else enumerate(node)
            pending += [(f"{path}/{key}", child) for key, child in children]
        else:
            found[path] = node
    return found


def compare(one: Path, other: Path) -> tuple[int, float]:
    """How many values two runs hold, and the largest difference; infinite if one lacks a value."""
    found = []
    for folder in (one, other):
        found.append(trained(torch.load(folder / "checkpoints/last.ckpt", weights_only=True)))
    if found[0].keys() != found[1].keys():
        return len(found[0]), float("inf")
    largest = 0.0
    for name, a in found[0].items():
        b = found[1][name]
        if isinstance(a, torch.Tensor):
            largest = max(largest, float((a.double() - b.double()).abs().max()) if a.numel() else 0.0)
        elif a != b:
            largest = float("inf")
    return len(found[0]), largest


def table(rows: Sequence[Row]) -> str:
    lines = ["| run | kills | of them while writing | values compared | largest difference |", "|---|---|---|---|---|"]
    lines += [f"| {r.case} | {r.kills} | {r.while_writing} | {r.compared} | {r.difference:g} |" for r in rows]
    lines.append(f"| all | {sum(r.kills for r in rows)} | {sum(r.while_writing for r in rows)} | | |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6, help="of each kind of run (%(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="of each run (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("--short", action="store_true", help="one kind of run, 3 kills")
    parser.add_argument("--work", type=Path, help="a folder for the runs, which is kept")
    parser.add_argument("--out", type=Path, help="a markdown file for the table")
    options = parser.parse_args()
    cases, kills, steps = (CASES[:1], 3, 12) if options.short else (CASES, options.kills, options.steps)
    draw = random.Random(options.seed)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        work: Path = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        jobs = [(f"{i}", case, steps) for i, case in enumerate(cases)]
        if not options.short:
            jobs.append(("every", CASES[1], 20))
        for name, case, length in jobs:
            run = [*case, f"recipe.steps={length}"]
            finish(work / f"{name}-whole", run)
            if name == "every":
                counts = every_step(work / f"{name}-killed", run, length)
            else:
                counts = killed(work / f"{name}-killed", run, kills, draw, first=len(rows))
            label = " ".join(case) + (", killed after every step" if name == "every" else "")
            rows.append(Row(label, *counts, *compare(work / f"{name}-whole", work / f"{name}-killed")))
            print(table(rows[-1:]).splitlines()[2], flush=True)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(table(rows) + "\n", encoding="utf-8")
    print(table(rows))
    return int(any(row.difference for row in rows))


if __name__ == "__main__":
    sys.exit(main())
