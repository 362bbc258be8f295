"""Published lists of frames: one line per frame with an image, a depth map and, in some lists, a focal length."""

from __future__ import annotations

import argparse
import glob
from collections.abc import Sequence
from pathlib import Path

from diffperc.errors import DataError


def add_options(parser: argparse.ArgumentParser, folder_help: str) -> None:
    """Add ``--lists``, ``--train-list`` and ``--test-list``, which become `lists`, `train_list` and `test_list`."""
    parser.add_argument("--lists", type=Path, metavar="FOLDER", help=folder_help)
    parser.add_argument("--train-list", metavar="NAME", help="file name of the list of training frames in --lists")
    parser.add_argument("--test-list", metavar="NAME", help="file name of the list of test frames in --lists")


def read_frames(folder: Path, name: str | None, patterns: Sequence[str]) -> list[list[str]]:
    """The words of each line of a list; empty lines are skipped.

    Args:
        folder: where the list is.
        name: its file name, if the user gave one.
        patterns: used without a name; the first one that matches any file counts.

    Raises:
        DataError: there is no such list, there are several, or a line has fewer than two words.
    """
    found = _first_match(folder, [glob.escape(name)] if name else patterns)
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise DataError(
            f"{folder}: one list that matches '{name or patterns[-1]}' is needed, found {names}. Correct --lists, or give "
            "the names of the lists with --train-list and --test-list."
        )
    frames = []
    for line in found[0].read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) == 1:
            raise DataError(f"{found[0]}: expected 'image depth [focal]', found '{words[0]}'.")
        frames.append(words)
    return frames


def _first_match(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """All files that match the first pattern that matches any."""
    for pattern in patterns:
        found = sorted(filter(Path.is_file, folder.glob(pattern)))
        if found:
            return found
    return []
