"""What a command line leaves open and its other words tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffperc.config.find import conf_dir


def task_of(arguments: list[str]) -> str | None:
    """The task whose truth a data set has, where none is named; None: as configured."""
    named = dict(a.split("=", 1) for a in arguments if "=" in a)
    file = conf_dir() / "dataset" / f"{named.get('dataset', '')}.yaml"
    if {"task", "experiment"} & named.keys() or not file.is_file():
        return None
    from hydra.utils import get_class
    from omegaconf import OmegaConf

    def kind(path: Path) -> Any:
        return get_class(OmegaConf.select(OmegaConf.load(path), "_target_"))

    has = set(kind(file).provides)
    tasks = sorted((conf_dir() / "task").glob("*.yaml"))
    return next((path.stem for path in tasks if set(kind(path).requires) <= has), None)
