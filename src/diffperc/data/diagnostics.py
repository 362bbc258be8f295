"""What is wrong with a data set: the first thing stops training, all of it is what `diffperc.data inspect` lists.

Constructors say `problem(...)` where something must be mended and `left_out(...)` where data goes unused. Usually the first
raises and the second warns; inside `collected()` both are noted, and the constructor goes on without the bad part.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from diffperc.errors import DataError

log = logging.getLogger(__name__)


@dataclass
class Findings:
    """Sentences, each of which names a file.

    Attributes:
        problems: what must be mended.
        left_out: what is not used.
    """

    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


_collecting: ContextVar[Findings | None] = ContextVar("collecting", default=None)


@contextmanager
def collected() -> Iterator[Findings]:
    """Note what constructors find instead of raising and warning."""
    findings = Findings()
    token = _collecting.set(findings)
    try:
        yield findings
    finally:
        _collecting.reset(token)


def problem(sentence: str) -> None:
    """Something must be mended; who goes on must leave that part out.

    Raises:
        DataError: the sentence, unless findings are collected.
    """
    findings = _collecting.get()
    if findings is None:
        raise DataError(sentence)
    findings.problems.append(sentence)


def left_out(sentences: Sequence[str]) -> None:
    """Say what is not used: one warning with the first of them, or all of them where findings are collected."""
    findings = _collecting.get()
    if findings is not None:
        findings.left_out += sentences
    elif sentences:
        more = f" ({len(sentences) - 1} more like it.)" if len(sentences) > 1 else ""
        log.warning("%s%s", sentences[0], more)
