"""docs/performance.md from the tables that ``diffperc benchmark`` has left in results/.

python scripts/performance.py              writes it
python scripts/performance.py --check      exit code 1 if it is not what the tables give
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/performance.md"
HEAD = """# Speed and memory

Made by `scripts/performance.py` from `results/benchmark-*.csv`, which `diffperc benchmark` writes; each row is one
run of it, the ways one after the other in every round, medians, on the machine named above its table (shared with
other work). Compared with

- `reference`: what the authors' code computes: float32, attention as explicit softmax, the UNet to its end, the plain
  memory layout;
- `diffusers`: the same with fused attention, as diffusers computes it, and the same head;
- `given`: what `reference=file.py` built, such as the authors' code itself.

Ours with `optimize=true` (the default of predict and evaluate) computes large 3 x 3 convolutions by Winograd's
algorithm, keeps weights in the layout in which oneDNN reads them, attends to a single token without computing
attention, leaves out what nothing reads, and lets the process keep freed memory (which the other two have in these
runs too). The deviation is the largest difference as a fraction of the output's range; weights are random where the
backbone's are, and no layer is left at zero.

`fraction of peak` counts the operations of the reference against the largest speed of a matrix product seen in the
same run: Winograd's algorithm needs fewer, so that more than 1 is possible.
"""
COLUMNS = {
    "task": "task",
    "strategy": "strategy",
    "backbone": "backbone",
    "mode": "mode",
    "precision": "precision",
    "size": "size",
    "compared_with": "compared with",
    "seconds": "s",
    "reference_seconds": "theirs, s",
    "speedup": "faster",
    "peak": "GB",
    "reference_peak": "theirs, GB",
    "max_rel_deviation": "deviation",
    "fraction_of_peak": "fraction of peak",
}


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for file in sorted((ROOT / "results").glob("benchmark-*.csv")):
        with file.open(newline="", encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
        first = rows[0]
        parts.append(
            f"\n## {first['machine']}\n\n{first['threads']} threads, torch {first['torch']}; `results/{file.name}`\n\n"
        )
        parts.append(_line(list(COLUMNS.values())) + _line(["---"] * len(COLUMNS)))
        parts += [_line([_cell(row, column) for column in COLUMNS]) for row in rows]
    return "".join(parts)


def _cell(row: dict[str, str], column: str) -> str:
    if column == "size":
        return f"{row['images']} x {row['height']}x{row['width']}"
    if column in ("peak", "reference_peak"):
        size = row[f"{column}_bytes"]
        return f"{int(size) / 1e9:.2f}" if size else ""
    if column == "speedup":
        return f"{float(row[column]):.2f} x"
    return row[column]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
