"""The names of diffperc.data are imported when they are first used."""

from __future__ import annotations

import pytest

from diffperc import data


def test_every_name_is_found_where_it_is_said_to_be() -> None:
    assert set(data.__all__) == set(data._HOMES)
    assert all(getattr(data, name).__name__ == name for name in data.__all__ if name != "Draw")


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match=r"module 'diffperc\.data' has no attribute 'NYUv3'"):
        _ = data.NYUv3
