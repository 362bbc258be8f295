"""Reports of runs that are there already."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from diffperc.commands.run_results import CONFIG, changed_in, read_config, report_of
from diffperc.config.differences import differing
from diffperc.errors import ConfigError, DataError, first_line


def report(cfg: DictConfig) -> None:
    """Write the report of each run of ``cfg.run``, and of several one page that compares them.

    Raises:
        DataError: there is no run, or its files are damaged.
    """
    wanted = [str(cfg.run)] if isinstance(cfg.run, str) else list(map(str, cfg.run))
    runs = run_folders(wanted)
    for run in runs:
        try:
            print(f"report: {report_of(run)}")
        except (OSError, ValueError, KeyError) as error:  # of files that were cut or edited
            raise DataError(f"{run}: its files cannot be read as those of a run ({first_line(error)}).") from error
    if len(runs) == 1:
        return
    from diffperc.reports.report import write_comparison

    sweep = Path(wanted[0]).expanduser()
    folder = Path(str(cfg.output)).expanduser() if cfg.output is not None else sweep if sweep.is_dir() else Path()
    folder.mkdir(parents=True, exist_ok=True)
    if folder.resolve() in {run.resolve() for run in runs}:
        raise ConfigError(f"output: {folder} is the folder of a run, which has a report of its own; give another.")
    named = {_name(run, runs): run for run in runs}
    configs = {name: read_config(run) for name, run in named.items()}
    changed = {name: changed_in(run, configs[name]) for name, run in named.items()}
    print(f"report: {write_comparison(folder, named, differing(configs), changed)}")


def run_folders(wanted: Sequence[str] | ListConfig) -> list[Path]:
    """The runs of paths, sweeps and patterns.

    Raises:
        DataError: one of them has no run.
    """
    found: dict[Path, None] = {}
    for pattern in wanted:
        path = Path(pattern).expanduser()
        places = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))] if "*" in pattern else [path]
        runs = [place for place in places if (place / CONFIG).is_file()]
        if not runs:  # of a sweep
            runs = sorted(
                (file.parent for place in places for file in place.glob(f"*/{CONFIG}")),
                key=lambda run: (len(run.name), run.name),
            )
        if not runs:
            raise DataError(f"run: {pattern} has no run: no folder with a {CONFIG}, as diffperc train writes one.")
        found |= dict.fromkeys(runs)
    return list(found)


def _name(run: Path, runs: Sequence[Path]) -> str:
    """The end of its path that no other run has."""
    for parts in range(1, len(run.parts) + 1):
        name = "/".join(run.parts[-parts:])
        if sum("/".join(other.parts[-parts:]) == name for other in runs) == 1:
            return name
    return str(run)
