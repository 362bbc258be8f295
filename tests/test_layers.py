"""Imports go down only: the layers of docs/architecture.md, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent / "src" / "diffperc"
LAYERS = [
    {"errors", "types", "checks", "keypoints", "protocols"},
    {"nn", "text", "losses", "metrics"},
    {"backbones"},
    {"strategies", "heads"},
    {"model", "data"},
    {"tasks", "callbacks", "inference"},
    {"config", "build", "checkpoints"},
    {"training", "pretraining"},
    {"evaluation", "inspection"},
    {"data.__main__", "inspect", "pretrain", "train", "evaluate", "predict", "convert", "compare"},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
# within one layer these may not know each other
STRANGERS = [{"strategies", "heads"}, {"model", "data"}]
ALLOWED = {
    "diffusers": {"backbones", "pretraining"},
    "transformers": {"backbones", "text", "pretraining"},
    "lightning": {"tasks", "callbacks", "pretraining", "training", "evaluation", "inspection"},
    "hydra": {"config", "build", "checkpoints", "training", "evaluation", "inspection"},
    "wandb": set(),
}
FILES = sorted(ROOT.rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Dotted names of all imported modules, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def unit(file: Path) -> str:
    """The package or module of ours that a file belongs to; a program inside a package stands at the top."""
    if file.name == "__main__.py":
        return f"{file.parent.name}.__main__"
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_go_down(file: Path) -> None:
    own = unit(file)
    if own == "__init__":
        pytest.skip("the package root forwards names lazily")
    for name in imports(file):
        if name.startswith("diffperc."):
            other = name.split(".")[1]
            # predicting files and loading checkpoints is the top of inference; it is imported there when it runs
            late = (own, other) == ("inference", "checkpoints")
            assert LAYER[other] <= LAYER[own] or late, f"{own} imports {other}, which is above it"
            assert own == other or {own, other} not in STRANGERS, f"{own} and {other} may not know each other"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_foreign_libraries_stay_in_their_places(file: Path) -> None:
    for name in imports(file):
        library = name.split(".")[0]
        if library in ALLOWED:
            assert unit(file) in ALLOWED[library], f"{file.name} imports {library}"


def test_every_module_has_a_layer() -> None:
    assert {unit(f) for f in FILES} - {"__init__"} <= set(LAYER)


def test_no_test_module_imports_another() -> None:
    """What test modules share is in `tests/helpers.py`, `tests/fakes` and `tests/contracts`."""
    found = []
    for file in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            # `from tests.data import test_x` names the module last
            above = (node.module or "").split(".") if isinstance(node, ast.ImportFrom) else []
            for alias in node.names:
                parts = [*above, *alias.name.split(".")]
                if any(part.startswith("test_") for part in parts):
                    found.append(f"{file.relative_to(TESTS)}, line {node.lineno}: {'.'.join(parts)}")
    assert not found
