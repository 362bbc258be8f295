"""Every notebook runs from top to bottom, and is stored with what it shows."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
TRAINS = ("02", "03", "04")
TOO_LONG = ("02", "03")  # ten minutes each: stored without outputs so far
RUN = [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * path.stem.startswith(TRAINS)) for path in NOTEBOOKS]


@pytest.mark.parametrize("path", RUN)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTEBOOK_STEPS", "3")
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": tmp_path}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    pictures = [o for c in notebook.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    assert pictures


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_stored_with_small_outputs_that_are_of_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if not path.stem.startswith(TOO_LONG):
        assert '"image/png"' in text
    assert len(text) < 600_000
    for place in (Path.home(), Path(__file__).resolve().parents[2]):
        assert f"{place}/" not in text
