"""Data preparation: chooses the data set's module, lists the data sets, and turns errors into sentences."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import NoReturn

from diffperc.errors import OWN_MISTAKE, ConfigError, DiffPercError, did_you_mean
from diffperc.foreign import report_unforeseen, translated

DATASETS = ("ade20k", "cityscapes", "coco", "kitti", "nyuv2", "refcoco")


def run(arguments: list[str]) -> None:
    """Prepare one data set, or list all of them if there is no argument or the first one is ``--help``.

    Leaves the process with exit code 2 and a sentence on stderr for errors that the user can fix, and with 130 after
    Control-C.

    Args:
        arguments: the command line: a name from `DATASETS`, then the options of `diffperc.prepare.<name>`.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return
    name, *options = arguments
    try:
        _module(name).main(options)
    except KeyboardInterrupt:
        print("stopped; run the same command again to resume.", file=sys.stderr)
        raise SystemExit(130) from None
    except DiffPercError as error:
        _leave(error.sentence)
    except Exception as error:
        mine = translated(error)
        if mine is not None:
            _leave(f"{mine.sentence} Run the same command again to resume.")
        print(f"error: {report_unforeseen(error, f'diffperc prepare {name}')}", file=sys.stderr)
        raise SystemExit(OWN_MISTAKE) from error


def overview() -> str:
    """The usage and one line per data set: the first line of its module's docstring."""
    lines = ["usage: diffperc prepare DATASET [options]", ""]
    for name in DATASETS:
        summary = (_module(name).__doc__ or "").partition("\n")[0]
        lines.append(f"  {name:<12}{summary}")
    lines += ["", "diffperc prepare DATASET --help shows the licence, the archives and the options of one of them."]
    return "\n".join(lines)


def _module(name: str) -> ModuleType:
    """The module of a data set. None of them imports torch before its work starts."""
    if name not in DATASETS:
        raise ConfigError(f"there is no data set '{name}' to prepare{did_you_mean(name, DATASETS)}")
    return importlib.import_module(f"diffperc.prepare.{name}")


def _leave(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(2)
