"""``diffperc benchmark``: rows of numbers that belong together."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from tests.helpers import call_all

SMALL = ["dataset.size=[64,64]", "dataset.train_size=4", "dataset.val_size=2", "num_workers=0", "rounds=1"]
REFERENCE = """
import torch
from torch import nn


class Slow(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        torch.ones(1200, 1200) @ torch.ones(1200, 1200)
        return 2 * self.model(batch).dense


def build(model):
    return Slow(model.eval())
"""


def test_a_forward_pass_and_a_training_step_are_compared(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(REFERENCE)
    typed = ["task=depth", "strategy=vpd", *SMALL, "reference=theirs.py"]
    half = [*typed, "training=false", "precision=bf16-true", "batch_size=2"]
    assert call_all([("benchmark", typed), ("benchmark", half)], tmp_path) == [(0, ""), (0, "")]
    (file,) = (tmp_path / "results").iterdir()
    with file.open(newline="") as table:
        rows = list(csv.DictReader(table))
    seen = [(row["mode"], row["precision"], row["compared_with"], row["images"]) for row in rows]
    assert seen == [
        ("forward", "32-true", "reference", "1"),
        ("forward", "32-true", "diffusers", "1"),
        ("forward", "32-true", "given", "1"),
        ("training step", "32-true", "reference", "1"),
        *[("forward", "bf16-true", name, "2") for name in ("reference", "diffusers", "given")],
    ]
    for row in rows:
        assert (row["task"], row["strategy"], row["backbone"], row["height"], row["width"]) == (
            "depth", "vpd", "tiny", "64", "64",
        )  # fmt: skip
        speedup = float(row["reference_seconds"]) / float(row["seconds"])
        assert float(row["speedup"]) == pytest.approx(speedup, rel=0.01)
    for row in rows[:2]:
        reached = float(row["flops"]) / float(row["seconds"]) / float(row["gemm_peak_flops"])
        assert float(row["fraction_of_peak"]) == pytest.approx(reached, abs=0.001)
        assert float(row["max_rel_deviation"]) < 1e-4
    assert float(rows[2]["max_rel_deviation"]) > 0.5  # twice as deep
    assert float(rows[3]["max_rel_deviation"]) < 1e-5
    assert int(rows[4]["flops"]) == 2 * int(rows[0]["flops"])
    weights = 4 * int(rows[0]["parameters"])
    assert weights < int(rows[0]["peak_bytes"]) < weights + 10**9
    assert int(rows[4]["peak_bytes"]) < int(rows[4]["reference_peak_bytes"])  # half of the bytes per weight


@pytest.mark.skipif(sys.platform == "win32", reason="files are replaced there by other rules")
def test_bad_input_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "no.py").write_text("x = 1\n")
    (tmp_path / "old").mkdir()
    cases = {
        "batch_size=0": "batch_size: must be at least 1",
        "reference=there.py": "reference: there is no Python file 'there.py'.",
        "reference=no.py": "no.py has no function build(model)",
        "precision=fp16": "precision: must be 'auto'",
        "device=gpu0": "device: there is no 'gpu0'",
        "results=no.py": "results: ",
    }
    jobs = [("benchmark", [*SMALL, "training=false", case]) for case in cases]
    for (case, sentence), (code, said) in zip(cases.items(), call_all(jobs, tmp_path), strict=True):
        assert code == 2, (case, said)
        assert sentence in said
        assert "Traceback" not in said
