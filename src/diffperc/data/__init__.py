"""Data sets and what lies between them and a batch. Imports no Lightning, and nothing before it is asked for."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffperc.data.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    # `from diffperc.data import archives` asks here first; scripts and `python -m diffperc.data --help` load no torch
    is_module = importlib.util.find_spec(f"{__name__}.{name}") is not None
    public = None if is_module else importlib.import_module(f"{__name__}.public")
    if public is None or name not in public.__all__:
        raise AttributeError(f"module 'diffperc.data' has no attribute '{name}'")
    return getattr(public, name)
