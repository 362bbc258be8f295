"""Every task and strategy on a real GPU, in bf16 and fp16, against the CPU in float32: ``make gpu``.

    python scripts/check_gpu.py --out results/gpu.md          on a machine with a GPU; without one it says so and ends well
    python scripts/check_gpu.py --device cpu --tasks depth    tries the script itself

EMA, ``overfit_batches`` and ``torch.compile`` are tried with one pair each.

Of each pair: forward, loss, backward, a training step and a prediction in evaluation. Compared with those of the CPU are the
loss (relative) and the prediction (largest difference by the largest value); all is rounded to 8 or 11 bits on the
way: the bounds are 5 % and 10 %. Exit code 1 if a pair fails or is beyond.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import logging
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import diffperc
from diffperc.config.compose import composed
from diffperc.data import Draw, PreparedDataset, collate
from diffperc.engine.build import build_dataset, build_preprocess, build_protocol, build_task, task_class

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
SMALL = ("dataset.size=[64,64]", "dataset.train_size=8", "dataset.val_size=4", "backbone=tiny")
LOSS, PREDICTION = 0.05, 0.1


def built(task: str, strategy: str) -> tuple[Any, Any, Any]:
    """The task and a batch of each split, on the CPU."""
    cfg = composed("train", [f"task={task}", f"strategy={strategy}", *SMALL])
    torch.manual_seed(0)
    batches = []
    for split in ("train", "val"):
        dataset = build_dataset(cfg, split)
        target = task_class(cfg).target
        data = PreparedDataset(dataset, build_preprocess(cfg), target, build_protocol(cfg).resizes_target)
        batches.append(collate([data[Draw(i, i)] for i in range(2)]))
    return build_task(cfg, dataset.info), batches[0], batches[1]


def step(task: Any, train: Any, val: Any, device: str, dtype: torch.dtype | None) -> tuple[float, torch.Tensor]:
    """The loss of a training step, and the prediction before it."""
    task, train, val = copy.deepcopy(task).to(device), train.to(device), val.to(device)
    autocast = torch.autocast(torch.device(device).type, dtype or torch.bfloat16, enabled=dtype is not None)
    task.eval()
    with torch.inference_mode(), autocast:
        dense = task.predict_batch(val).float().cpu()
    task.train()
    task.model.apply(_without_dropout)
    optimizer, _ = task.optimizer_factory.build(task.named_parameters(), 10)
    torch.manual_seed(0)
    with autocast:
        loss = task.total_loss(task.model(train), train)
    loss.backward()
    optimizer.step()
    if not all(torch.isfinite(p).all() for p in task.parameters()):
        raise ValueError("weights are not numbers after a step")
    return float(loss.detach()), dense


def _without_dropout(module: torch.nn.Module) -> None:
    if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
        module.p = 0.0


def row(task: str, strategy: str, device: str) -> tuple[str, bool]:
    """A line of the table, and whether all is well."""
    start = time.monotonic()
    cells, good = [], True
    try:
        built_task, train, val = built(task, strategy)
        loss, dense = step(built_task, train, val, "cpu", None)
        for dtype in DTYPES.values():
            other, found = step(built_task, train, val, device, dtype)
            by_loss = abs(other - loss) / max(abs(loss), 1e-3)
            by_dense = float((found - dense).abs().max() / dense.abs().max().clamp_min(1e-3))
            good &= by_loss < LOSS and by_dense < PREDICTION
            cells.append(f"{by_loss:.4f}, {by_dense:.4f}")
    except Exception as error:  # one pair that fails does not stop the others
        cells, good = [f"{type(error).__name__}: {' '.join(str(error).split())[:120]}", ""], False
    return f"| {task} | {strategy} | {cells[0]} | {cells[-1]} | {time.monotonic() - start:.1f} |", good


RUNS: dict[str, dict[str, Any]] = {"ema_decay": {"ema_decay": 0.9}, "overfit_batches": {"+trainer.overfit_batches": 1}}


def run(name: str, accelerator: str) -> tuple[str, bool]:
    """A short training with an option that moves tensors of its own, and its prediction; a line, and whether all is well."""
    small = {"dataset.size": [64, 64], "dataset.train_size": 8, "dataset.val_size": 4, "recipe.val_every_steps": 2}
    options = {**small, "trainer.accelerator": accelerator, "trainer.precision": "bf16-mixed", **RUNS[name]}
    try:
        with tempfile.TemporaryDirectory() as folder:
            done = diffperc.train("depth", steps=4, batch_size=4, folder=Path(folder) / "run", overrides=options)
            depth = done.predictor()(torch.zeros(3, 64, 64)).depth
        good = math.isfinite(done.metrics["val/rmse_m"]) and bool((depth > 0).all())
        return f"| depth | {name} | {'trains and predicts' if good else 'is not finite'} | | |", good
    except Exception as error:
        return f"| depth | {name} | {type(error).__name__}: {' '.join(str(error).split())[:120]} | | |", False


def compiled(device: str) -> tuple[str, bool]:
    """The compiled model against itself; a line, and whether all is well."""
    try:
        task, _, val = built("depth", "vpd")
        model, batch = task.model.eval().to(device), val.to(device)
        with torch.inference_mode():
            plain = model(batch).dense
            faster: Any = torch.compile(model)
            difference = float((faster(batch).dense - plain).abs().max() / plain.abs().max())
        return f"| depth | compile | {difference:.4f} | | |", difference < LOSS
    except Exception as error:
        return f"| depth | compile | {type(error).__name__}: {' '.join(str(error).split())[:120]} | | |", False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="%(default)s")
    parser.add_argument("--tasks", nargs="+", default=diffperc.list_tasks(), help="all")
    parser.add_argument("--out", type=Path, help="a markdown file for the table")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("skipped: torch finds no GPU here.")
        return 0
    card = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    lines = [f"# {card}, torch {torch.__version__}", "", "Difference from the CPU in float32: loss, prediction.", ""]
    lines += ["| task | strategy | bf16 | fp16 | seconds |", "|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    all_good = True
    for task, strategy in itertools.product(options.tasks, diffperc.list_strategies()):
        line, good = row(task, strategy, options.device)
        all_good &= good
        lines.append(line)
        print(line + ("" if good else "  <-"), flush=True)
    accelerator = "gpu" if options.device.startswith("cuda") else "cpu"
    further = [run(name, accelerator) for name in RUNS]
    if accelerator == "gpu":  # a compiler for the CPU is not everywhere, and slow
        further.append(compiled(options.device))
    for line, good in further:
        all_good &= good
        lines.append(line)
        print(line + ("" if good else "  <-"), flush=True)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(not all_good)


if __name__ == "__main__":
    sys.exit(main())
