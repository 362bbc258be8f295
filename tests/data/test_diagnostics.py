"""The first finding stops a training; inspecting collects all of them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from diffperc.data import NYUv2
from diffperc.data.diagnostics import STOP, Collected
from diffperc.errors import DataError
from tests.fakes.nyuv2 import write_root


def test_a_problem_raises_and_what_is_left_out_warns(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataError, match=r"^a\.png: is gone$"):
        STOP.problem("a.png: is gone")
    with caplog.at_level(logging.WARNING):
        STOP.unused(["b.png: is left out.", "c.png: is left out."])
        STOP.unused([])
    assert caplog.messages == ["b.png: is left out. (1 more like it.)"]


def test_collecting_keeps_both_once_and_changes_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    found = Collected()
    for _ in range(2):
        found.problem("a.png: is gone")
        found.unused(["b.png: is left out."])
    assert (found.problems, found.left_out) == (["a.png: is gone"], ["b.png: is left out."])
    assert not caplog.messages
    with pytest.raises(DataError):
        STOP.problem("d.png: is gone")


def test_a_constructor_goes_on_without_what_is_bad(tmp_path: Path) -> None:
    root = write_root(tmp_path)
    file = root / "train_list.txt"
    lines = file.read_text().splitlines()
    (root / lines[0].split()[0]).unlink()
    file.write_text("\n".join([lines[0], "alone.jpg", lines[1], lines[1]]))
    found = Collected()
    dataset = NYUv2("train", str(root), diagnostics=found)
    assert [Path(dataset[i].path).name for i in range(len(dataset))] == ["rgb_00200.jpg"]
    assert [p.split(": ")[0] for p in found.problems] == [f"{file}, line {n}" for n in (4, 1, 2)]
