"""Write docs/parity.md: how far imported checkpoints are from the outputs of the authors' code.

    python scripts/parity.py

Needs the reference outputs beside the repository (tests/parity/cases.py says where); takes about four minutes on a core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.parity.cases import GOLDENS, INPUTS, TOLERANCE, deviations  # noqa: E402

HEAD = """# Parity with the authors' code

Made by `python scripts/parity.py` (torch {torch}, CPU). For every reference case a state dict in the authors' layout,
with synthetic weights, goes through `diffperc.checkpoints.import_official`; the outputs are compared with those that the
authors' code gave for the same weights and inputs. A figure is the largest absolute difference of an entry in units of the
entry's own standard deviation: 1e-3 is allowed in float32, 1e-6 in float64. The references' own float32 differs from their
float64 by up to 6e-5.

Names: `latents` the VAE's output; `context` the tokens of a pass; `unet.out.0` to `3` the features from fine to coarse,
attention maps appended where they are used; `#2`, `#3` the later passes; `latents_refined` what goes from one pass to the
next; `output` the prediction. `mp` is Meta Prompts, `r` its number of steps. Losses and gradients are compared by
`tests/parity/test_parity.py`, metrics and whole evaluation loops by `tests/metrics` and `tests/inference`.

VPD's float64 figures are larger than those of Meta Prompts because the sinusoids of the timestep, which Meta Prompts does
not have, are computed in float32 by both sides.

| case | entry | float32 | float64 |
|---|---|---|---|
"""


def main() -> None:
    """Compare every case in both precisions and write the table."""
    if not GOLDENS.is_dir():
        sys.exit(f"error: there are no reference outputs in {GOLDENS}.")
    rows = []
    for case in INPUTS:
        single, double = (deviations(case, dtype) for dtype in TOLERANCE)
        rows += [f"| {case} | {name} | {single[name]:.1e} | {double[name]:.1e} |" for name in single]
        print(f"{case}: {max(single.values()):.1e} {max(double.values()):.1e}", flush=True)
    text = HEAD.format(torch=torch.__version__.partition("+")[0]) + "\n".join(rows) + "\n"
    (ROOT / "docs/parity.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
