"""Random mistakes in configurations are refused with a sentence."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.mark.slow
def test_no_misspelt_misplaced_or_made_up_key_trains_as_if_nothing_were_wrong() -> None:
    outcomes = runpy.run_path(str(SCRIPTS / "fuzz_config.py"))["outcomes"](96, seed=7)
    assert [one for one in outcomes if one.result == "traceback"] == []
    keys = [one for one in outcomes if one.kind in ("misspelt", "misplaced", "made up")]
    assert len(keys) > 30
    assert [one.typed for one in keys if one.result != "refused" or not one.said] == []
    values = [one for one in outcomes if one.kind == "wrong kind"]
    # a list of devices is as good as their number
    assert [one.typed for one in values if one.result != "refused" and "trainer.devices" not in one.typed] == []
