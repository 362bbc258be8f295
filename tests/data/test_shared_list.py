from __future__ import annotations

from pathlib import Path

import pytest

from diffperc.data.shared_list import SharedList


def test_it_is_the_list_it_was_made_of() -> None:
    values = [(Path("/a b/ü.png"), 1), None, ("x" * 1000, [1.5, (2, 3)]), ()]
    packed = SharedList(values)
    assert list(packed) == values
    assert packed[1:3] == values[1:3]
    assert len(SharedList([])) == 0
    for outside in (-1, 4):
        with pytest.raises(IndexError):
            packed[outside]
