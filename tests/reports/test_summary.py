"""Summaries of runs and what reads them, where a number could not be computed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from diffperc.errors import TrainingError
from diffperc.reports.summary import check_scores, write_json
from diffperc.reports.sweep import SweepTable
from diffperc.reports.tables import comparison, read_summaries


def summary(value: float) -> dict[str, Any]:
    return {
        "metrics": {"val/miou": value},
        "baseline": {"val/miou": 0.25},
        "monitor": "val/miou",
        "choices": {"task": "segmentation", "strategy": "vpd", "dataset": "scenes", "backbone": "tiny"},
        "trainable_parameters": 1_000_000,
        "seconds_per_step": math.nan,
        "peak_memory_gb": 1.0,
    }


def test_what_is_no_number_is_null_in_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": math.nan, "b": [1.0, math.inf], "c": {"d": 2}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [1.0, None], "c": {"d": 2}}


def test_tables_take_runs_without_a_number_and_jobs_that_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, value in enumerate((0.5, math.nan, None)):
        job = tmp_path / str(i)
        (job / ".hydra").mkdir(parents=True)
        (job / ".hydra/overrides.yaml").write_text(f"- seed={i}\n")
        if value is None:
            (job / "error.txt").write_text("masks/1.png: holds class id 7\n")
        else:
            write_json(job / "summary.json", summary(value))
    SweepTable().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    rows = (tmp_path / "table.csv").read_text().splitlines()
    assert rows[0] == "seed,val/miou,baseline val/miou,trainable M,s/step,peak GB,error"
    assert rows[1:] == [
        "0,0.5000,0.2500,1.00,nan,1.00,",
        "1,nan,0.2500,1.00,nan,1.00,",
        "2,,,,,,masks/1.png: holds class id 7",
    ]
    capsys.readouterr()
    (row,) = comparison(read_summaries(tmp_path))
    assert row["segmentation miou"] == "nan (mean of 2)"


def test_scores_that_are_no_numbers_are_an_error_with_its_cause() -> None:
    good = {"val/miou": 0.5}
    check_scores(good, good, "val/miou")
    check_scores({}, {}, "val/miou")  # nothing was validated
    bad = {"val/miou": math.nan}
    with pytest.raises(TrainingError, match=r"val/miou is nan: the predictions are no numbers: lower recipe\.lr"):
        check_scores(bad, good, "val/miou")
    with pytest.raises(TrainingError, match="nothing of the validation split is counted"):
        check_scores(bad, bad, "val/miou")
