"""What several test modules share and which writes no data set; the writers are in `tests/fakes`."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from diffperc.config import compose
from diffperc.config.find import conf_dir
from diffperc.data import Draw, PerceptionDataset, PreparedDataset, collate
from diffperc.engine import PerceptionData
from diffperc.engine.build import build_dataset, build_preprocess, build_protocol, task_class
from diffperc.types import Batch, Person
from tests.warm import Warm

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def names(group: str) -> list[str]:
    return sorted(f.stem for f in (conf_dir() / group).glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    return compose.composed("train", overrides)


def one(batch: Batch, i: int) -> Batch:
    """Sample `i` alone."""
    return Batch(
        batch.image[i : i + 1],
        scene=None if batch.scene is None else batch.scene[i : i + 1],
        labels=None if batch.labels is None else batch.labels[i : i + 1],
        expression=None if batch.expression is None else batch.expression[i : i + 1],
        caption=None if batch.caption is None else batch.caption[i : i + 1],
        meta=batch.meta[i : i + 1],
    )


def prepared(cfg: DictConfig, split: str, dataset: PerceptionDataset | None = None) -> PreparedDataset:
    """A split of the configured data set, or of another one, as training or evaluation reads it."""
    raw = build_dataset(cfg, split) if dataset is None else dataset
    return PreparedDataset(raw, build_preprocess(cfg), task_class(cfg).target, build_protocol(cfg).resizes_target)


def batch_of(data: PreparedDataset, count: int = 1) -> Batch:
    """The first samples of a data set."""
    return collate([data[Draw(i, i)] for i in range(count)])


def loaders(
    cfg: DictConfig, train: PerceptionDataset | None, val: PerceptionDataset, batch_size: int = 1, workers: int = 0
) -> PerceptionData:
    """Loaders of data sets with what the configuration does to them."""
    kind, protocol = task_class(cfg), build_protocol(cfg)
    return PerceptionData(
        train, val, build_preprocess(cfg), kind.target, protocol, batch_size, batch_size, workers, seed=0
    )


def persons(dataset: PerceptionDataset) -> list[Person]:
    return [p for p in (dataset[i].person for i in range(len(dataset))) if p is not None]


@functools.cache
def _warm() -> Warm:
    """One for all tests of this process."""
    return Warm()


def _run(module: str, arguments: Sequence[str], cwd: Path) -> tuple[int, str, str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    return _warm().run(f"diffperc.{module}", arguments, cwd, environment, timeout=300)


def call(module: str, *arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``python -m diffperc.<module>`` with arguments and check its exit code."""
    found, out, err = _run(module, arguments, cwd)
    assert found == code, f"{module} {' '.join(arguments)}\n{out}\n{err}"
    return subprocess.CompletedProcess([module, *arguments], found, out, err)


def start_of_peak() -> None:
    """Let `peak` begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """The most memory of this process since then, in bytes; ``ru_maxrss`` is handed down to a child, even by exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def call_all(jobs: list[tuple[str, list[str]]], cwd: Path) -> list[tuple[int, str]]:
    """The exit code and stderr of each job, a module's name and its arguments."""
    done = [_run(module, arguments, cwd) for module, arguments in jobs]
    return [(code, said) for code, _, said in done]
