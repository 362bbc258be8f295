"""The first finding stops a training; inspecting collects all of them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from diffperc.data import NYUv2
from diffperc.data.diagnostics import collected, left_out, problem
from diffperc.errors import DataError
from tests.fakes.nyuv2 import write_root


def test_a_problem_raises_and_what_is_left_out_warns(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataError, match=r"^a\.png: is gone$"):
        problem("a.png: is gone")
    with caplog.at_level(logging.WARNING):
        left_out(["b.png: is left out.", "c.png: is left out."])
        left_out([])
    assert caplog.messages == ["b.png: is left out. (1 more like it.)"]


def test_collecting_notes_both_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    with collected() as found:
        problem("a.png: is gone")
        left_out(["b.png: is left out."])
    assert (found.problems, found.left_out) == (["a.png: is gone"], ["b.png: is left out."])
    assert not caplog.messages
    with pytest.raises(DataError):
        problem("d.png: is gone")


def test_a_constructor_goes_on_without_what_is_bad(tmp_path: Path) -> None:
    root = write_root(tmp_path)
    file = root / "train_list.txt"
    lines = file.read_text().splitlines()
    (root / lines[0].split()[0]).unlink()
    file.write_text("\n".join([lines[0], "alone.jpg", lines[1], lines[1]]))
    with collected() as found:
        dataset = NYUv2("train", str(root), {})
    assert [Path(dataset[i].path).name for i in range(len(dataset))] == ["rgb_00200.jpg"]
    assert [p.split(": ")[0] for p in found.problems] == [f"{file}, line {n}" for n in (4, 1, 2)]
