"""Data sets and what lies between them and a batch. Imports no Lightning, and nothing before it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffperc.data.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    # `python -m diffperc.data --help` passes here, and loads no torch; an import statement would come back here
    public = importlib.import_module("diffperc.data.public")
    if name not in public.__all__:
        raise AttributeError(f"module 'diffperc.data' has no attribute '{name}'")
    return getattr(public, name)
