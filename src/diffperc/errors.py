"""Errors that a user can fix. Each message is a sentence: what was wrong, where, what to do now.

The entry points print the sentence and exit with code 2. What libraries and the system raise becomes one in
`diffperc.foreign`; any other exception is a mistake of diffperc's, and ends with exit code 1 and a file to report.
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable
from pathlib import Path

USER_ERROR, OWN_MISTAKE = 2, 1
"""Exit codes: of an error that a user can fix, and of one that is a mistake of diffperc's."""


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


class Stopped(BaseException):
    """Training was told to stop by a signal; not an error, and nothing that ``except Exception`` should catch.

    Args:
        number: of the signal.
        step: optimiser steps taken.
        checkpoint: ``last.ckpt`` of the run folder.
        problem: why that could not be written.

    Attributes:
        exit_code: 128 + number, as shells have it: 143 for SIGTERM, 130 for SIGINT.
    """

    def __init__(self, number: int, step: int, checkpoint: Path, problem: Exception | None = None) -> None:
        kept = (
            f"Training so far is in {checkpoint}; to continue it, add to the same command: "
            f"hydra.run.dir={checkpoint.parent.parent} resume=auto"
        )
        super().__init__(f"stopped by {signal.Signals(number).name} after step {step}. {problem or kept}")
        self.exit_code = 128 + number


def fixable(error: BaseException) -> DiffPercError | None:
    """The error that a user can fix: this one, or its cause, as Hydra wraps what a constructor raises; None for a bug."""
    return next((one for one in (error, error.__cause__) if isinstance(one, DiffPercError)), None)


def first_line(error: BaseException) -> str:
    """The first line of a library's message, for use in our own."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause that lists the known names, nearest first: ``; did you mean 'vpd'? Known: iedp, vpd``.

    An abbreviation is near what it abbreviates: ``lr`` and ``learning_rate``.
    """
    names = sorted(known)
    if not names:
        return "."
    near = nearest(name, names)
    ordered = dict.fromkeys([*near, *names])
    guess = f"; did you mean '{near[0]}'?" if near else "."
    return f"{guess} Known: {', '.join(ordered)}"


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """At most three names that may have been meant, the nearest first."""
    listed = list(names)
    short = [known for known in listed if name in (_initials(known), known) or known == _initials(name)]
    return list(dict.fromkeys([*short, *difflib.get_close_matches(name, listed, n=3, cutoff=0.5)]))[:3]


def _initials(name: str) -> str:
    """``lr`` of ``learning_rate``; a single word has none."""
    words = name.split("_")
    return "".join(word[:1] for word in words) if len(words) > 1 else name
