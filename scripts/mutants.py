"""Whether the tests notice mistakes: changes the source in one place at a time and runs the nearest tests.

    python scripts/mutants.py --sample 200               # spread over all modules, by a fixed seed
    python scripts/mutants.py --only losses/silog.py     # every change of one module
    python scripts/mutants.py --sample 200 --seed 1 --out results/mutants.csv

A change is one of: a constant, a sign or an operator, a comparison, a boolean, an axis, ``min`` for ``max``. It is made in
memory: a process that has imported torch forks for each change, imports the changed module in place of the file, and runs
pytest on the tests of the table below. A change that no test notices within its time survives; some are equivalent, because
the result is the same.
"""

from __future__ import annotations

import argparse
import ast
import copy
import csv
import importlib.abc
import importlib.machinery
import io
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "diffperc"
# the modules that compute, each with the tests nearest to it
TESTS = {
    "losses/silog.py": ["tests/losses/test_silog.py"],
    "losses/cross_entropy.py": ["tests/losses/test_cross_entropy.py"],
    "losses/lovasz.py": ["tests/losses/test_lovasz.py"],
    "layers/valid.py": ["tests/losses/test_silog.py", "tests/metrics/test_depth.py"],
    "layers/resize.py": ["tests/layers"],
    "metrics/depth.py": ["tests/metrics/test_depth.py"],
    "metrics/segmentation.py": ["tests/metrics/test_segmentation.py"],
    "metrics/referring.py": ["tests/metrics/test_referring.py"],
    "metrics/keypoints.py": ["tests/metrics/test_keypoints.py"],
    "inference/sliding_window.py": ["tests/inference/test_sliding_window.py", "tests/inference/test_segmentation.py"],
    "tasks/normals/loss.py": ["tests/tasks/test_normals.py"],
    "tasks/normals/metrics.py": ["tests/tasks/test_normals.py"],
    "tasks/pose/heatmaps.py": ["tests/tasks/test_heatmaps.py"],
    "tasks/depth/baseline.py": ["tests/tasks/test_baseline.py", "tests/tasks/test_depth.py"],
    "tasks/segmentation/baseline.py": ["tests/tasks/test_baseline.py", "tests/tasks/test_segmentation.py"],
    "tasks/referring/baseline.py": ["tests/tasks/test_baseline.py", "tests/tasks/test_referring.py"],
    "tasks/depth/task.py": ["tests/tasks/test_depth.py"],
    "tasks/referring/task.py": ["tests/tasks/test_referring.py"],
    "tasks/base.py": ["tests/tasks/test_depth.py", "tests/engine/test_optimizer.py"],
    "heads/upernet.py": ["tests/heads"],
    "heads/refine.py": ["tests/heads"],
    "heads/deconv.py": ["tests/heads"],
    "models/fit.py": ["tests/models"],
    "models/outputs.py": ["tests/models", "tests/tasks/test_depth.py"],
    "engine/optimizer.py": ["tests/engine/test_optimizer.py"],
    "preprocessing/preprocess.py": ["tests/preprocessing/test_preprocess.py"],
    "preprocessing/person_crop.py": ["tests/preprocessing/test_person_crop.py"],
    "types/keypoints.py": ["tests/test_types.py", "tests/metrics/test_keypoints.py"],
}
_OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NAMES = {"min": "max", "max": "min", "clamp_min": "clamp_max", "floor": "ceil", "ceil": "floor", "minimum": "maximum"}
_SECONDS = 90  # for the tests of one change


class Mutant(NamedTuple):
    """A change: the module, the line, and what it does; `number` counts the changes of the module."""

    module: str
    number: int
    line: int
    change: str


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, str, Any, str]]:
    """Node, attribute, new value and description of every change of a module, in a fixed order."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _OPERATORS:
            new = _OPERATORS[type(node.op)]()
            yield node, "op", new, f"{type(node.op).__name__} -> {type(new).__name__}"
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in _OPERATORS:
            new = _OPERATORS[type(node.ops[0])]()
            yield node, "ops", [new, *node.ops[1:]], f"{type(node.ops[0]).__name__} -> {type(new).__name__}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            value = (not node.value) if isinstance(node.value, bool) else node.value + 1
            yield node, "value", value, f"{node.value} -> {value}"
        elif (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.USub)
            and not isinstance(node.operand, ast.Constant)
        ):
            yield node, "op", ast.UAdd(), "-x -> +x"
        elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
            yield node, "attr", _NAMES[node.attr], f"{node.attr} -> {_NAMES[node.attr]}"
        elif isinstance(node, ast.Name) and node.id in _NAMES:
            yield node, "id", _NAMES[node.id], f"{node.id} -> {_NAMES[node.id]}"


def mutants_of(module: str) -> list[Mutant]:
    """Every change of a module but those inside of messages and annotations, which compute nothing."""
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    silent = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.Raise) for inner in ast.walk(node)}
    silent |= {id(inner) for node in _annotations(tree) for inner in ast.walk(node)}
    found = []
    for index, (node, _, _, change) in enumerate(changes(tree)):
        if id(node) not in silent:
            found.append(Mutant(module, index, getattr(node, "lineno", 0), change))
    return found


def _annotations(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.returns


def mutated(mutant: Mutant) -> ast.Module:
    """The module with the change."""
    tree = copy.deepcopy(ast.parse((SOURCE / mutant.module).read_text(encoding="utf-8")))
    node, attribute, value, _ = list(changes(tree))[mutant.number]
    setattr(node, attribute, value)
    return ast.fix_missing_locations(tree)


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a changed tree."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = "diffperc." + mutant.module.removesuffix(".py").replace("/", ".")
        self.mutant = mutant

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(SOURCE / self.mutant.module))

    def exec_module(self, module: Any) -> None:
        module.__file__ = str(SOURCE / self.mutant.module)
        exec(compile(mutated(self.mutant), module.__file__, "exec"), module.__dict__)


def is_noticed(mutant: Mutant | None, tests: Sequence[str]) -> bool:
    """Whether the tests fail with the change (or, without one, as they are), in a process of their own."""
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.alarm(_SECONDS)  # an endless loop is noticed
        if mutant is not None:
            sys.meta_path.insert(0, _Changed(mutant))
        import pytest

        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "-m", "not slow"]
            code = pytest.main([*options, *(str(ROOT / test) for test in tests)])
        os._exit(int(code))
    return os.waitpid(child, 0)[1] != 0


def run(chosen: Sequence[Mutant], out: Path | None) -> None:
    """Try each change; print progress, the survivors, and the share noticed by module."""
    # what the children share; nothing of diffperc, which each imports anew
    import albumentations
    import lightning
    import pytest
    import torch
    import torchmetrics

    assert all((albumentations, lightning, pytest, torchmetrics))
    torch.set_num_threads(1)
    for module in dict.fromkeys(mutant.module for mutant in chosen):
        if is_noticed(None, TESTS[module]):
            raise SystemExit(f"{module}: its tests fail without any change")
    start, noticed, tried, rows = time.monotonic(), Counter[str](), Counter[str](), []
    for number, mutant in enumerate(chosen, 1):
        found = is_noticed(mutant, TESTS[mutant.module])
        tried[mutant.module] += 1
        noticed[mutant.module] += found
        rows.append([mutant.module, mutant.line, mutant.change, "noticed" if found else "survived"])
        if not found:
            print(f"survived: {mutant.module}:{mutant.line}  {mutant.change}", flush=True)
        if number % 20 == 0:
            print(f"{number}/{len(chosen)}, {time.monotonic() - start:.0f} s", flush=True)
    for module, count in tried.items():
        print(f"{module:40} {noticed[module]:4} of {count:4} noticed")
    print(f"{noticed.total()} of {tried.total()} noticed, {noticed.total() / tried.total():.1%}")
    if out is not None:
        with out.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["module", "line", "change", "result"], *rows])


def main() -> None:
    """Choose the changes, and try them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sample", type=int, help="how many changes, drawn at random; all if left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=TESTS, nargs="+", default=list(TESTS), metavar="MODULE")
    parser.add_argument("--out", type=Path, help="a csv file for the results")
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
    os.chdir(ROOT)
    found = [mutant for module in options.only for mutant in mutants_of(module)]
    if options.sample is not None:
        found = sorted(random.Random(options.seed).sample(found, min(options.sample, len(found))))
    run(found, options.out)


if __name__ == "__main__":
    main()
