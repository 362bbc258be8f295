"""Imports go down only: the layers of docs/architecture.md, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent / "src" / "diffperc"
# each may import what stands in a line above
LAYERS = [
    ["errors", "ranges", "version"],
    ["checks", "foreign"],
    ["types"],
    ["assets", "files", "geometry", "layers", "visualization", "weights"],
    ["results"],
    ["encoders", "losses", "metrics", "preprocessing", "scenes"],
    ["backbones", "data"],
    ["heads", "strategies", "targets"],
    ["models"],
    ["inference"],
    ["tasks"],
    ["config", "reports"],
    ["engine"],
    ["checkpoints", "cost", "inspection", "prepare", "pretraining"],
    ["deploy"],
    ["commands"],
    [
        "benchmark",
        "compare",
        "convert",
        "demo",
        "estimate",
        "evaluate",
        "explain",
        "export",
        "inspect",
        "predict",
        "pretrain",
        "report",
        "serve",
        "train",
    ],
    ["__init__", "__main__"],
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
# what only some may import
ALLOWED = {
    "diffusers": {"backbones", "pretraining", "weights"},
    "transformers": {"encoders", "pretraining", "weights"},
    "lightning": {"__init__", "commands", "engine", "pretraining", "tasks"},
    "hydra": {"checkpoints", "commands", "config", "engine", "reports"},
    "fastapi": {"deploy"},
    "wandb": set(),
}
FILES = sorted(ROOT.rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Dotted names of all imported modules, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}, line {node.lineno}: a relative import"
            found.add(str(node.module))
            # `from diffperc import x` imports a module of that name, or a name of the root
            if node.module == "diffperc":
                found |= {f"diffperc.{alias.name}" for alias in node.names}
    return found


def unit(file: Path) -> str:
    """The package or module of ours to which a file belongs; a program inside a package is a frame."""
    return "__main__" if file.name == "__main__.py" else file.relative_to(ROOT).parts[0].removesuffix(".py")


def own_imports(file: Path) -> set[str]:
    """Units of ours that a file imports, other than its own; the version in the root is no import of a part."""
    names = [name.split(".") for name in imports(file) if name.startswith("diffperc.")]
    return {name[1] for name in names if name[1] in LAYER} - {unit(file)}


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_go_down(file: Path) -> None:
    own = unit(file)
    for other in own_imports(file):
        assert LAYER[other] < LAYER[own], f"{own} imports {other}, which is not below it"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_foreign_libraries_stay_in_their_places(file: Path) -> None:
    for name in imports(file):
        library = name.split(".")[0]
        if library in ALLOWED:
            assert unit(file) in ALLOWED[library], f"{file.name} imports {library}"


def test_every_module_has_a_layer() -> None:
    assert {unit(f) for f in FILES} == set(LAYER)


def test_no_file_is_long() -> None:
    long = [f"{f.relative_to(ROOT)}: {n}" for f in FILES if (n := len(f.read_text().splitlines())) > 280]
    assert not long


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
