"""Errors that a user can fix. Each message is a sentence: what was wrong, where, what to do now.

The entry points print the sentence and exit with code 2. Any other exception is a bug in diffperc and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DiffPercError(Exception):
    """Base of all errors that a user can fix."""

    @property
    def sentence(self) -> str:
        """The message alone, without the worker's traceback that a DataLoader puts in front of it."""
        text = str(self)
        if text.startswith("Caught ") and "\nOriginal Traceback" in text:
            text = text.rsplit(f"{type(self).__name__}: ", 1)[-1]
        return text.strip()


class ConfigError(DiffPercError):
    """The configuration names something that does not exist or does not fit together."""


class DataError(DiffPercError):
    """A data set, or one of its files, is missing, unreadable or inconsistent."""


class WeightsError(DiffPercError):
    """Pretrained weights could not be found, or are not what was expected."""


class CheckpointError(DiffPercError):
    """A checkpoint of diffperc could not be read."""


class TrainingError(DiffPercError):
    """Training cannot continue, for example because the loss is not finite."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause that lists the known names, nearest first: ``; did you mean 'vpd'? Known: iedp, vpd``."""
    names = sorted(known)
    if not names:
        return "."
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    ordered = dict.fromkeys([*near, *names])
    guess = f"; did you mean '{near[0]}'?" if near else "."
    return f"{guess} Known: {', '.join(ordered)}"
