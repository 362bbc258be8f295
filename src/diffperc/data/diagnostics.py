"""What is wrong with a data set: the first problem stops a training, all of them are what `inspect` lists.

A data set's constructor gets a `Diagnostics` and reports `problem(...)` where something must be fixed and `unused(...)`
where files or rows are not used. Training passes none, so that the first problem raises; inspection passes a `Collected`,
and the constructor goes on without the bad part.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from diffperc.errors import DataError

log = logging.getLogger(__name__)


class Diagnostics:
    """Stops at the first problem, and warns of what is not used."""

    def problem(self, sentence: str) -> None:
        """Something must be fixed; whoever goes on must leave that part out.

        Raises:
            DataError: the sentence.
        """
        raise DataError(sentence)

    def unused(self, sentences: Sequence[str]) -> None:
        """What is not used: one warning with the first sentence and the number of the others."""
        if not sentences:
            return
        more = f" ({len(sentences) - 1} more like it.)" if len(sentences) > 1 else ""
        log.warning("%s%s", sentences[0], more)


class Collected(Diagnostics):
    """Keeps everything.

    Attributes:
        problems: sentences about what must be fixed, each of which names a file.
        left_out: sentences about what is not used.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.left_out: list[str] = []

    def problem(self, sentence: str) -> None:
        if sentence not in self.problems:  # what concerns both splits is found twice
            self.problems.append(sentence)

    def unused(self, sentences: Sequence[str]) -> None:
        self.left_out += [sentence for sentence in sentences if sentence not in self.left_out]


STOP = Diagnostics()
"""The default of every constructor."""
