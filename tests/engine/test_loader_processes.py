from __future__ import annotations

import os

import pytest

from diffperc.engine.datamodule import loader_processes


@pytest.mark.parametrize(
    ("cores", "processes", "found"), [(1, 1, 1), (2, 1, 1), (6, 1, 5), (64, 1, 8), (64, 8, 7), (8, 8, 1)]
)
def test_auto_leaves_a_core_to_each_process(
    cores: int, processes: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert loader_processes("auto", processes) == found
    assert loader_processes(0, processes) == 0
    assert loader_processes(3, processes) == 3
