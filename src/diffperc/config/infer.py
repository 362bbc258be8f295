"""What a command line leaves open and its other words determine."""

from __future__ import annotations

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from diffperc.config.compose import composed


def task_of(arguments: list[str]) -> str | None:
    """The first task that a data set has a protocol for, where no task is named; None: as configured."""
    named = dict(a.split("=", 1) for a in arguments if "=" in a)
    if "dataset" not in named or {"task", "experiment"} & named.keys():
        return None
    try:
        protocols = composed("train", [f"dataset={named['dataset']}"]).dataset.protocols
    except (HydraException, OmegaConfBaseException):  # reported when the whole command line is composed
        return None
    return min(protocols)
