"""Run the notebooks and store their outputs, which then show on the web.

    python scripts/run_notebooks.py [notebooks/05_referring_and_explain.ipynb ...]

NOTEBOOK_STEPS=4 makes their trainings short.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main() -> None:
    """Run those that are named, or all."""
    folder = Path(__file__).resolve().parents[1] / "notebooks"
    for file in [Path(name) for name in sys.argv[1:]] or sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
        NotebookClient(
            notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": folder}}
        ).execute()
        for cell in notebook.cells:
            cell.metadata.clear()  # times of this machine
            if cell.cell_type != "code":
                continue
            # progress says nothing afterwards
            cell.outputs = [o for o in cell.outputs if o.output_type != "stream" or _kept(o)]
        file.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")  # type: ignore[no-untyped-call]
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


def _kept(output: nbformat.NotebookNode) -> bool:
    return output.name == "stdout" and "it/s" not in output.text


if __name__ == "__main__":
    main()
